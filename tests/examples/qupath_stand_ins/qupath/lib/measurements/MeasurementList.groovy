package qupath.lib.measurements

/** In QuPath an interface; this is one of its implementations. */
class MeasurementList implements AutoCloseable {
    private final Map<String, Double> values = [:]

    void put(String name, double value) {
        values[name] = value
    }

    double get(String name) {
        return values.containsKey(name) ? values[name] : Double.NaN
    }

    boolean containsKey(String name) {
        return values.containsKey(name)
    }

    double remove(String name) {
        def former = values.remove(name)
        return former == null ? Double.NaN : former
    }

    List<String> getNames() {
        return values.keySet() as List
    }

    void close() {
    }
}
