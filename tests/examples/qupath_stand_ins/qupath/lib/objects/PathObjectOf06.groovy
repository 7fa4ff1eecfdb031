package qupath.lib.objects

/** As of QuPath 0.6, where scripts can change an object's metadata. */
class PathObjectOf06 extends PathObject {
    private final Map<String, String> metadata = [:]

    PathObjectOf06(Map description) {
        super(description)
        metadata.putAll(description.metadata ?: [:])
    }

    Map<String, String> getMetadata() {
        return metadata
    }
}
