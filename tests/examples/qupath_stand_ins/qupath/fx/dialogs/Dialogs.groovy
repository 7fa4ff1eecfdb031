package qupath.fx.dialogs

/** Answers as the test says, and keeps what was asked. */
class Dialogs {
    static boolean answer
    static List<String> asked = []

    static boolean showConfirmDialog(String title, String text) {
        asked << text
        return answer
    }
}
