/*
 * Run QuPath scripts on stand-ins of QuPath's classes, in one JVM: starting one takes a second.
 *
 * Reads the path of a folder from each line of standard input, runs its script.groovy in the
 * situation of its situation.json, writes its result.json, and answers with a line.
 *
 * QuPath puts `import static qupath.lib.gui.scripting.QPEx.*` before a script; so does this.
 */
import groovy.json.JsonOutput
import groovy.json.JsonSlurper
import org.codehaus.groovy.control.CompilerConfiguration
import org.codehaus.groovy.control.customizers.ImportCustomizer
import qupath.fx.dialogs.Dialogs
import qupath.lib.gui.scripting.QPEx
import qupath.lib.images.servers.ImageServer
import qupath.lib.objects.PathObject
import qupath.lib.objects.PathObjectOf06
import qupath.lib.objects.classes.PathClass

System.in.eachLine { folder ->
    def situation = new JsonSlurper().parse(new File(folder, "situation.json"))
    setUp(situation)
    def lines = new StringWriter()
    def failure = run(new File(folder, "script.groovy"), lines)
    new File(folder, "result.json").text = JsonOutput.toJson([
        lines: lines.toString().readLines(),
        failure: failure,
        asked: Dialogs.asked,
        updates: QPEx.updates,
        objects: QPEx.objects.collectEntries { [(it.ID.toString()): report(it)] },
    ])
    println "done"
    System.out.flush()
}

void setUp(situation) {
    PathClass.forgetAll()
    QPEx.currentImage = situation.image ? new ImageServer(situation.image) : null
    QPEx.objects = situation.objects.collect {
        situation.version == "0.5" ? new PathObject(it) : new PathObjectOf06(it)
    }
    QPEx.selection = QPEx.objects.findAll { it.isSelected() }
    QPEx.userInterface = situation.dialog == null ? null : "QuPath"
    QPEx.updates = 0
    Dialogs.asked = []
    Dialogs.answer = situation.dialog == true
}

/** Return why the script failed, or null. */
String run(File script, Writer lines) {
    def configuration = new CompilerConfiguration()
    configuration.addCompilationCustomizers(new ImportCustomizer().addStaticStars(QPEx.name))
    def binding = new Binding(out: new PrintWriter(lines, true))
    try {
        new GroovyShell(getClass().classLoader, binding, configuration).evaluate(script)
    } catch (Throwable fault) {
        def trace = new StringWriter()
        fault.printStackTrace(new PrintWriter(trace, true))
        return trace.toString()
    }
    return null
}

Map report(PathObject object) {
    def list = object.getMeasurementList()
    def colour = object.getPathClass()?.getColor()
    return [
        class: object.getPathClass()?.toString(),
        colour: colour == null ? null : [16, 8, 0].collect { (colour >> it) & 255 },
        measurements: list.getNames().collectEntries { [(it): list.get(it)] },
        metadata: object instanceof PathObjectOf06 ? object.getMetadata() : [:],
    ]
}
