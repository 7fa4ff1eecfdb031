package qupath.lib.roi.interfaces

/** In QuPath an interface; this one has a centroid, bounds and a number of points. */
class ROI {
    private final Map shape

    ROI(Map shape) {
        this.shape = shape
    }

    double getCentroidX() {
        return shape.x
    }

    double getCentroidY() {
        return shape.y
    }

    double getBoundsWidth() {
        return shape.width ?: 0
    }

    double getBoundsHeight() {
        return shape.height ?: 0
    }

    boolean isPoint() {
        return shape.points != null
    }

    int getNumPoints() {
        return shape.points ?: 4
    }

    int getZ() {
        return shape.z ?: 0
    }

    int getT() {
        return shape.t ?: 0
    }
}
