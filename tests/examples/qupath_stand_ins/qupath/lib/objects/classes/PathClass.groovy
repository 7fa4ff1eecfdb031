package qupath.lib.objects.classes

/** One instance a name; its colour is the first one given. */
final class PathClass implements Comparable<PathClass> {
    private static final Map<String, PathClass> EXISTING = [:]
    private final String name
    private Integer colour

    private PathClass(String name, Integer colour) {
        this.name = name
        this.colour = colour
    }

    static PathClass fromString(String string, Integer color) {
        if (!EXISTING.containsKey(string)) {
            EXISTING[string] = new PathClass(string, color)
        }
        return EXISTING[string]
    }

    static void forgetAll() {  // not in QuPath
        EXISTING.clear()
    }

    static PathClass fromString(String string) {
        return fromString(string, null)
    }

    Integer getColor() {
        return colour
    }

    String getName() {
        return name
    }

    int compareTo(PathClass other) {
        return toString().compareTo(other.toString())
    }

    String toString() {
        return name
    }
}
