package qupath.lib.objects

import qupath.lib.measurements.MeasurementList
import qupath.lib.objects.classes.PathClass
import qupath.lib.roi.interfaces.ROI

/** As of QuPath 0.5. In QuPath it is abstract, with a class for each kind of object. */
class PathObject {
    protected final Map description
    private final ROI roi
    private final MeasurementList measurements = new MeasurementList()
    private PathClass pathClass

    PathObject(Map description) {
        this.description = description
        roi = new ROI(description.roi)
        Map former = description.measurements ?: [:]
        for (String name : former.keySet()) {
            measurements.put(name, former[name] as double)
        }
        pathClass = description.pathClass ? PathClass.fromString(description.pathClass) : null
    }

    boolean isSelected() {  // not in QuPath
        return description.selected == true
    }

    UUID getID() {
        return UUID.fromString(description.id)
    }

    String getName() {
        return description.name
    }

    ROI getROI() {
        return roi
    }

    boolean hasROI() {
        return roi != null
    }

    boolean isAnnotation() {
        return description.kind == "annotation"
    }

    boolean isDetection() {
        return description.kind == "detection"
    }

    boolean isLocked() {
        return description.locked == true
    }

    MeasurementList getMeasurementList() {
        return measurements
    }

    PathClass getPathClass() {
        return pathClass
    }

    void setPathClass(PathClass pc) {
        pathClass = pc
    }

    boolean resetPathClass() {
        boolean changes = pathClass != null
        pathClass = null
        return changes
    }
}
