package qupath.lib.regions

class RegionRequest {
    private final String path
    private final double downsample
    private final int x, y, width, height, z, t

    private RegionRequest(
        String path, double downsample, int x, int y, int width, int height, int z, int t
    ) {
        this.path = path
        this.downsample = downsample
        this.x = x
        this.y = y
        this.width = width
        this.height = height
        this.z = z
        this.t = t
    }

    static RegionRequest createInstance(
        String path, double downsample, int x, int y, int width, int height, int z, int t
    ) {
        return new RegionRequest(path, downsample, x, y, width, height, z, t)
    }

    String getPath() {
        return path
    }

    double getDownsample() {
        return downsample
    }

    int getX() {
        return x
    }

    int getY() {
        return y
    }

    int getWidth() {
        return width
    }

    int getHeight() {
        return height
    }

    int getZ() {
        return z
    }

    int getT() {
        return t
    }
}
