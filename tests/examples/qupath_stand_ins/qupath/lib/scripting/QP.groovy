package qupath.lib.scripting

import qupath.lib.images.servers.ImageServer
import qupath.lib.objects.PathObject

/** The functions of every script, for one image. */
class QP {
    static ImageServer currentImage
    static List<PathObject> objects = []
    static List<PathObject> selection = []
    static int updates = 0

    static ImageServer getCurrentServer() {
        return currentImage
    }

    static Collection<PathObject> getSelectedObjects() {
        return Collections.unmodifiableCollection(selection)
    }

    static Collection<PathObject> getAnnotationObjects() {
        return Collections.unmodifiableCollection(objects.findAll { it.isAnnotation() })
    }

    static Collection<PathObject> getDetectionObjects() {
        return Collections.unmodifiableCollection(objects.findAll { it.isDetection() })
    }

    static void fireHierarchyUpdate() {
        updates += 1
    }
}
