package qupath.lib.images.servers

import java.awt.RenderingHints
import java.awt.image.BufferedImage
import javax.imageio.ImageIO
import qupath.lib.regions.RegionRequest

/** In QuPath an interface; this one serves an image file, and refuses regions beyond its edges. */
class ImageServer {
    private final Map description
    private final BufferedImage image

    ImageServer(Map description) {
        this.description = description
        image = ImageIO.read(new File(description.file))
    }

    String getPath() {
        return description.file
    }

    int getWidth() {
        return image.getWidth()
    }

    int getHeight() {
        return image.getHeight()
    }

    boolean isRGB() {
        return description.rgb != false
    }

    PixelCalibration getPixelCalibration() {
        return new PixelCalibration(description.width_um, description.height_um)
    }

    BufferedImage readRegion(RegionRequest request) throws IOException {
        boolean inside = request.x >= 0 && request.y >= 0 && request.width > 0 && request.height > 0 &&
            request.x + request.width <= width && request.y + request.height <= height
        if (!inside || request.path != path || request.t != 0) {
            throw new IllegalArgumentException("a region that is not of this image: ${request.dump()}")
        }
        if (request.z != 0) {
            throw new IOException("a damaged tile")
        }
        def region = image.getSubimage(request.x, request.y, request.width, request.height)
        int wide = Math.max(1, Math.round(request.width / request.downsample) as int)
        int high = Math.max(1, Math.round(request.height / request.downsample) as int)
        def read = new BufferedImage(wide, high, BufferedImage.TYPE_INT_ARGB)
        def canvas = read.createGraphics()
        canvas.setRenderingHint(
            RenderingHints.KEY_INTERPOLATION, RenderingHints.VALUE_INTERPOLATION_BILINEAR)
        canvas.drawImage(region, 0, 0, wide, high, null)
        canvas.dispose()
        return read
    }
}
