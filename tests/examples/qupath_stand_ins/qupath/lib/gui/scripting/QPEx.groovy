package qupath.lib.gui.scripting

import qupath.lib.scripting.QP

/** What scripts have beyond QP where there is a user interface. */
class QPEx extends QP {
    static Object userInterface

    static Object getQuPath() {
        return userInterface
    }
}
