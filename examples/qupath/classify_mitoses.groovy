/*
 * Classify mitotic figures in QuPath (0.5 or 0.6) with a running `atypia serve`.
 *
 * Open a slide, select the figures (or select nothing, to classify all of one class), and run this
 * script. It sends a crop of 40 um around each object and sets class and measurements as the
 * GeoJSON of `atypia slide` does. The slide itself need not lie on the server. Locked objects stay
 * untouched. Nothing is changed until every answer has arrived and you have agreed.
 *
 * Run for many images of a project, it asks once for each: set askFirst to false. Without a user
 * interface (QuPath's command line) nobody can be asked, and it goes ahead.
 */
import groovy.json.JsonException
import groovy.json.JsonOutput
import groovy.json.JsonSlurper
import java.awt.Color
import java.awt.image.BufferedImage
import javax.imageio.ImageIO
import qupath.fx.dialogs.Dialogs
import qupath.lib.common.ColorTools
import qupath.lib.objects.classes.PathClass
import qupath.lib.regions.RegionRequest

def server = "http://127.0.0.1:8807"  // the address that `atypia serve` prints
def token = ""                        // the server's token, if it wants one
def className = "Mitosis"             // classified if no object is selected
def cropsPerRequest = 16              // fewer, if the server says that a request is too large
def askFirst = true                   // ask before anything is changed

try {
    def connection = [address: server.trim().replaceAll("/+\$", ""), token: token.trim()]
    classifyObjects(connection, className.trim(), cropsPerRequest, askFirst)
} catch (Stop stop) {
    println stop.message
}

/** Ends the script with one line. */
class Stop extends Exception {
    Stop(String line) { super(line) }
}

/** An object that cannot be classified; the others can. */
class Unusable extends Exception {
    Unusable(String reason) { super(reason) }
}

/** What atypia writes to an object: names and colours are those of its GeoJSON. */
class Atypia {
    static final String NORMAL = "Normal mitosis"
    static final String ATYPICAL = "Atypical mitosis"
    static final String REFER = "Refer"
    static final Map COLOURS = [
        (NORMAL): [0, 114, 178], (ATYPICAL): [213, 94, 0], (REFER): [230, 159, 0]
    ]
    static final String P_ATYPICAL = "P(atypical)"
    static final String SPREAD = "Spread of members"
    static final String IN_SCOPE = "In scope"
    static final String PHASE = "Phase"
    static final String SCOPE = "Scope"
    // The class once more, and whose: a class that differs from it is a person's.
    static final String GIVEN = "Classified as"
    static final String GIVEN_BY = "Classified by"
}

/** Sizes and limits. */
class Limits {
    static final double CROP_UM = 40
    static final double WANTED_MPP = 0.25
    static final double MOST_FIGURE_UM = 100
    static final double MOST_UNEQUAL = 0.02
    static final int MOST_RETRIES = 10
    static final int MOST_WAIT_S = 60
    static final int CONNECT_MS = 10000
    static final int ANSWER_MS = 300000
}

void classifyObjects(Map connection, String className, int cropsPerRequest, boolean askFirst) {
    def slide = getCurrentServer()
    if (slide == null) {
        throw new Stop("No image is open: open a slide, then run the script again.")
    }
    if (cropsPerRequest < 1) {
        throw new Stop("cropsPerRequest is ${cropsPerRequest}; it must be 1 or more.")
    }
    double pixelUm = readPixelSize(slide)
    def chosen = chooseObjects(className)
    def locked = chosen.findAll { it.isLocked() }
    def objects = chosen.findAll { !it.isLocked() }
    def failed = new LinkedHashMap()
    if (getSelectedObjects()) {
        objects.findAll { measureUm(it, pixelUm) > Limits.MOST_FIGURE_UM }.each {
            failed[it] = "its outline is over ${Limits.MOST_FIGURE_UM as int} um, and no figure's"
        }
    }
    def sent = objects.findAll { !failed.containsKey(it) }
    def answers = askServer(connection, slide, pixelUm, sent, cropsPerRequest, failed)
    if (answers && agrees(answers, failed, askFirst)) {
        failed.keySet().each { removeFormer(it) }
        answers.each { object, answer -> writeAnswer(object, answer) }
        fireHierarchyUpdate()
        println "${answers.size()} of ${count(chosen.size(), 'object')} classified: ${tally(answers)}."
    } else {
        println "Nothing was changed."
    }
    failed.each { object, reason -> println "not classified: ${nameObject(object)}: ${reason}" }
    locked.each { println "left alone: ${nameObject(it)}: it is locked" }
}

// Which objects, and their places

/** Return um/px of the full resolution. */
double readPixelSize(slide) {
    def calibration = slide.getPixelCalibration()
    if (!calibration.hasPixelSizeMicrons()) {
        throw new Stop("The pixel size of this image is unknown: set it in the Image tab (double-click " +
            "Pixel width), then run the script again.")
    }
    double width = calibration.getPixelWidthMicrons()
    double height = calibration.getPixelHeightMicrons()
    if (Math.abs(width - height) > Limits.MOST_UNEQUAL * Math.min(width, height)) {
        throw new Stop("The pixels of this image are not square (${width} x ${height} um): correct the " +
            "pixel size in the Image tab, then run the script again.")
    }
    if (!slide.isRGB()) {
        throw new Stop("This image is not in 8-bit RGB, as H&E slides are.")
    }
    return width
}

/** Return the selected objects; if none is selected, all of the class. */
List chooseObjects(String className) {
    def selected = getSelectedObjects()
    if (selected) {
        def usable = selected.findAll { it.hasROI() && (it.isAnnotation() || it.isDetection()) }
        if (!usable) {
            throw new Stop("The selection has no annotation and no detection: select the figures.")
        }
        return new ArrayList(usable)
    }
    def all = (getAnnotationObjects() + getDetectionObjects()).findAll { it.hasROI() }
    def ofClass = all.findAll { it.getPathClass()?.toString() == className }
    if (!ofClass) {
        def names = all.collect { it.getPathClass()?.toString() }.findAll { it }.unique().sort()
        throw new Stop("No object is selected, and none has the class \"${className}\" (classes here: " +
            "${names.join(', ') ?: 'none'}): select the figures, or change className.")
    }
    return new ArrayList(ofClass)
}

/** Return the longer side of an object's outline; points have none. */
double measureUm(object, double pixelUm) {
    def roi = object.getROI()
    return roi.isPoint() ? 0 : Math.max(roi.getBoundsWidth(), roi.getBoundsHeight()) * pixelUm
}

String nameObject(object) {
    def roi = object.getROI()
    def name = object.getName() ?: object.getPathClass()?.toString() ?: "object"
    def x = String.format(Locale.ROOT, "%.1f", roi.getCentroidX())
    def y = String.format(Locale.ROOT, "%.1f", roi.getCentroidY())
    return "${name} at x ${x}, y ${y} px (${object.getID()})"
}

// Crops

/** Return a crop of 40 um as PNG with the object's centroid at its centre. */
byte[] readCrop(slide, object, double downsample, double mpp) {
    def roi = object.getROI()
    if (roi.isPoint() && roi.getNumPoints() != 1) {
        throw new Unusable("it has ${roi.getNumPoints()} points; split them first (Objects > " +
            "Annotations > Split annotations)")
    }
    int least = Math.ceil(Limits.CROP_UM / mpp - 1e-6d) as int
    def columns = place(roi.getCentroidX(), slide.getWidth(), downsample, least)
    def rows = place(roi.getCentroidY(), slide.getHeight(), downsample, least)
    def part = readPart(slide, roi, downsample, columns, rows)
    return encode(arrange(part, columns, rows))
}

/**
 * Return the pixels of a crop along one axis, as atypia's own slide reader does: least pixels, or one
 * more if that centres them better; mirrored at the slide's edges. Pixels are those of the
 * downsampled slide.
 */
List place(double centre, int slidePx, double downsample, int least) {
    if (!(centre >= 0 && centre <= slidePx)) {
        throw new Unusable("it does not lie on the slide")
    }
    double at = centre / downsample
    def windows = [least, least + 1].collect { side ->
        int first = Math.rint(at - side / 2.0d) as int
        [first: first, side: side, miss: Math.abs(first + side / 2.0d - at)]
    }
    def window = windows.min { it.miss }
    int size = Math.max(1, Math.floor(slidePx / downsample) as int)
    int turn = Math.max(1, 2 * (size - 1))
    return (window.first..<(window.first + window.side)).collect {
        int folded = Math.floorMod(it, turn)
        Math.min(folded, turn - folded)
    }
}

/** Read the part of the slide that has all these columns and rows, white where nothing was scanned. */
BufferedImage readPart(slide, roi, double downsample, List columns, List rows) {
    def edges = [[columns, slide.getWidth()], [rows, slide.getHeight()]].collect { places, slidePx ->
        int from = Math.rint(places.min() * downsample) as int
        int to = Math.min(slidePx, Math.rint((places.max() + 1) * downsample) as int)
        [from: from, length: Math.max(1, to - from), px: places.max() - places.min() + 1]
    }
    def (x, y) = edges
    def request = RegionRequest.createInstance(slide.getPath(), downsample, x.from, y.from,
        x.length, y.length, roi.getZ(), roi.getT())
    def image
    try {
        image = slide.readRegion(request)
    } catch (IOException fault) {
        throw new Unusable("the slide cannot be read there (${fault.message})")
    }
    if (image == null) {
        throw new Unusable("the slide cannot be read there")
    }
    def part = new BufferedImage(x.px, y.px, BufferedImage.TYPE_INT_RGB)
    def canvas = part.createGraphics()
    canvas.setColor(Color.WHITE)
    canvas.fillRect(0, 0, x.px, y.px)
    canvas.drawImage(image, 0, 0, x.px, y.px, null)
    canvas.dispose()
    return part
}

/** Return the crop: these columns and rows, of a part that begins at the first of them. */
BufferedImage arrange(BufferedImage part, List columns, List rows) {
    int left = columns.min()
    int top = rows.min()
    def crop = new BufferedImage(columns.size(), rows.size(), BufferedImage.TYPE_INT_RGB)
    rows.eachWithIndex { y, row ->
        columns.eachWithIndex { x, column ->
            crop.setRGB(column, row, part.getRGB(x - left, y - top))
        }
    }
    return crop
}

byte[] encode(BufferedImage crop) {
    def png = new ByteArrayOutputStream()
    ImageIO.write(crop, "png", png)
    return png.toByteArray()
}

// The server

/**
 * Return the server's answers by object. An object without one is put into `failed`, with the reason.
 */
Map askServer(Map connection, slide, double pixelUm, List objects, int cropsPerRequest, Map failed) {
    double downsample = Math.max(1.0d, Limits.WANTED_MPP / pixelUm)
    double mpp = pixelUm * downsample
    def answers = new LinkedHashMap()
    int done = 0
    objects.collate(cropsPerRequest).each { batch ->
        def crops = new LinkedHashMap()
        batch.each { object ->
            try {
                crops[object] = readCrop(slide, object, downsample, mpp)
            } catch (Unusable unusable) {
                failed[object] = unusable.message
            }
        }
        if (crops) {
            def entries = requestAnswers(connection, crops, mpp)
            [crops.keySet() as List, entries].transpose().each { object, entry ->
                try {
                    answers[object] = readEntry(entry, connection.bundle ?: "")
                } catch (Unusable unusable) {
                    failed[object] = unusable.message
                }
            }
        }
        done += batch.size()
        if (batch.size() < objects.size()) {
            println "${done} of ${objects.size()} answered"
        }
    }
    return answers
}

/** Send crops until the server has room for them; return its list, one entry a crop in order. */
List requestAnswers(Map connection, Map crops, double mpp) {
    for (int retry = 0; ; retry++) {
        def reply = post(connection, crops, mpp)
        if (reply.status == 200) {
            return readEntries(reply.text, crops.size())
        }
        boolean busy = reply.status == 429 || reply.status == 503
        if (!busy || retry == Limits.MOST_RETRIES) {
            def tries = busy ? " after ${Limits.MOST_RETRIES + 1} tries" : ""
            throw new Stop("The server refused${tries} (${reply.status}): ${readDetail(reply.text)}. " +
                "Nothing was changed.")
        }
        pause(reply.retryAfter)
    }
}

/** Wait as long as the server asks for; a script that is cancelled ends here. */
void pause(String retryAfter) {
    int seconds = retryAfter != null && retryAfter.trim().isInteger() ? retryAfter.trim() as int : 1
    try {
        Thread.sleep(1000L * Math.max(0, Math.min(seconds, Limits.MOST_WAIT_S)))
    } catch (InterruptedException cancelled) {
        throw new Stop("Cancelled. Nothing was changed.")
    }
}

/** Post one request; return status, text and the header Retry-After; the connection notes whose answer it is. */
Map post(Map connection, Map crops, double mpp) {
    if (Thread.interrupted()) {
        throw new Stop("Cancelled. Nothing was changed.")
    }
    if (!(connection.address ==~ "(?i)https?://.+")) {
        throw new Stop("The address \"${connection.address}\" must begin with http:// or https://.")
    }
    def boundary = "atypia-" + UUID.randomUUID()
    try {
        def http = (HttpURLConnection) new URL(connection.address + "/v1/classify").openConnection()
        http.setRequestMethod("POST")
        http.setConnectTimeout(Limits.CONNECT_MS)
        http.setReadTimeout(Limits.ANSWER_MS)
        http.setInstanceFollowRedirects(false)  // a token goes to the given address only
        http.setDoOutput(true)
        http.setRequestProperty("Content-Type", "multipart/form-data; boundary=" + boundary)
        http.setRequestProperty("Accept", "application/json")
        if (connection.token) {
            http.setRequestProperty("Authorization", "Bearer " + connection.token)
        }
        http.getOutputStream().withStream { it.write(makeBody(boundary, crops, mpp)) }
        int status = http.getResponseCode()
        def stream = status < 400 ? http.getInputStream() : http.getErrorStream()
        connection.bundle = URLDecoder.decode(http.getHeaderField("Atypia-Bundle") ?: "", "UTF-8")
        return [status: status, text: stream?.getText("UTF-8") ?: "",
                retryAfter: http.getHeaderField("Retry-After")]
    } catch (SocketTimeoutException slow) {
        throw new Stop("No answer from ${connection.address} in time (${slow.message}). Nothing was changed.")
    } catch (ConnectException | UnknownHostException | NoRouteToHostException absent) {
        throw new Stop("No server answers at ${connection.address}: start it with `atypia serve`, and " +
            "compare the address that it prints with the setting `server`. Nothing was changed.")
    } catch (IOException broken) {
        throw new Stop("The connection to ${connection.address} failed (${broken.message}). " +
            "Nothing was changed.")
    }
}

/** Return a multipart form: `mpp` once, `files` once a crop. */
byte[] makeBody(String boundary, Map crops, double mpp) {
    def body = new ByteArrayOutputStream()
    def write = { String text -> body.write(text.getBytes("UTF-8")) }
    write("--${boundary}\r\nContent-Disposition: form-data; name=\"mpp\"\r\n\r\n${mpp}\r\n")
    crops.each { object, png ->
        write("--${boundary}\r\nContent-Disposition: form-data; name=\"files\"; " +
            "filename=\"${object.getID()}.png\"\r\nContent-Type: image/png\r\n\r\n")
        body.write(png as byte[])
        write("\r\n")
    }
    write("--${boundary}--\r\n")
    return body.toByteArray()
}

/** Return a server's explanation of an error, as one line. */
String readDetail(String text) {
    def detail = text
    try {
        def answer = new JsonSlurper().parseText(text)
        if (answer instanceof Map && answer.detail) {
            detail = answer.detail instanceof String ? answer.detail : JsonOutput.toJson(answer.detail)
        }
    } catch (JsonException | IllegalArgumentException notJson) {
        // then the text says it
    }
    def line = detail.replaceAll("\\s+", " ").trim().replaceAll("\\.\$", "")
    return line ? line.take(300) : "no reason given"
}

List readEntries(String text, int expected) {
    def entries
    try {
        entries = new JsonSlurper().parseText(text)
    } catch (JsonException | IllegalArgumentException notJson) {
        throw new Stop("The server's answer is not JSON: is this the address of `atypia serve`? " +
            "Nothing was changed.")
    }
    if (!(entries instanceof List) || entries.size() != expected) {
        def got = entries instanceof List ? count(entries.size(), "entry", "entries") : "no list"
        throw new Stop("The server answered ${count(expected, 'crop')} with ${got}: is its atypia of " +
            "another version than this script? Nothing was changed.")
    }
    return entries
}

/** Return an answer: class, P, spread and whether in scope (or null), phase and reason (or ""). */
Map readEntry(entry, String bundle) {
    if (!(entry instanceof Map)) {
        throw new Unusable("the server's answer has no columns")
    }
    if (entry.error) {
        throw new Unusable(entry.error.toString())
    }
    boolean called = entry.call == "atypical" || entry.call == "normal"
    if (!called || !(entry.refer instanceof Boolean) || !isProbability(entry.p_atypical)) {
        throw new Unusable("the server's answer has no call")
    }
    def name = entry.refer ? Atypia.REFER : entry.call == "atypical" ? Atypia.ATYPICAL : Atypia.NORMAL
    return [name: name, p: entry.p_atypical, spread: entry.spread, inScope: entry.in_scope,
            texts: [(Atypia.PHASE): entry.phase, (Atypia.SCOPE): entry.scope_reason,
                    (Atypia.GIVEN): name, (Atypia.GIVEN_BY): bundle]]
}

boolean isProbability(value) {
    return value instanceof Number && value >= 0 && value <= 1
}

// What is changed

boolean agrees(Map answers, Map failed, boolean askFirst) {
    if (!askFirst || getQuPath() == null) {  // there is no user interface to ask in
        return true
    }
    def others = failed ? " ${count(failed.size(), 'object')} cannot be classified." : ""
    return Dialogs.showConfirmDialog("Classify mitoses",
        "Classify ${count(answers.size(), 'object')}? ${tally(answers)}.${others} Their classes are " +
        "changed; measurements are added.")
}

/** Set class, measurements, phase, why it is out of scope, and the class that was given. */
void writeAnswer(object, Map answer) {
    removeFormer(object)
    def measurements = object.getMeasurementList()
    measurements.put(Atypia.P_ATYPICAL, answer.p as double)
    if (answer.spread instanceof Number) {
        measurements.put(Atypia.SPREAD, answer.spread as double)
    }
    if (answer.inScope instanceof Boolean) {
        measurements.put(Atypia.IN_SCOPE, answer.inScope ? 1.0d : 0.0d)
    }
    measurements.close()
    answer.texts.findAll { name, text -> text }.each { name, text ->
        findMetadata(object).put(name, text.toString())
    }
    def (red, green, blue) = Atypia.COLOURS[answer.name]
    object.setPathClass(PathClass.fromString(answer.name, ColorTools.packRGB(red, green, blue)))
}

/**
 * Remove what an earlier run of atypia wrote. Class and phase are an earlier run's if one of its
 * measurements is there too; else somebody else gave them.
 */
void removeFormer(object) {
    def measurements = object.getMeasurementList()
    def former = [Atypia.P_ATYPICAL, Atypia.SPREAD, Atypia.IN_SCOPE].findAll { measurements.containsKey(it) }
    if (!former) {
        return
    }
    former.each { measurements.remove(it) }
    measurements.close()
    [Atypia.PHASE, Atypia.SCOPE, Atypia.GIVEN, Atypia.GIVEN_BY].each { findMetadata(object).remove(it) }
    if (Atypia.COLOURS.containsKey(object.getPathClass()?.toString())) {
        object.resetPathClass()
    }
}

/** Return an object's metadata, to be changed; QuPath 0.5 keeps none for scripts, so it is lost there. */
Map findMetadata(object) {
    return object.metaClass.respondsTo(object, "getMetadata") ? object.getMetadata() : [:]
}

// Words

String tally(Map answers) {
    def names = answers.values().countBy { it.name }
    return "${names[Atypia.ATYPICAL] ?: 0} atypical, ${names[Atypia.NORMAL] ?: 0} normal, " +
        "${names[Atypia.REFER] ?: 0} refer"
}

String count(int number, String one, String many = null) {
    return "${number} ${number == 1 ? one : many ?: one + 's'}"
}
