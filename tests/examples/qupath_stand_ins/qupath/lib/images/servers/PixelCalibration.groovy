package qupath.lib.images.servers

class PixelCalibration {
    private final Double width, height

    PixelCalibration(Double width, Double height) {
        this.width = width
        this.height = height
    }

    boolean hasPixelSizeMicrons() {
        return width != null && height != null
    }

    double getPixelWidthMicrons() {
        return hasPixelSizeMicrons() ? width : Double.NaN
    }

    double getPixelHeightMicrons() {
        return hasPixelSizeMicrons() ? height : Double.NaN
    }
}
