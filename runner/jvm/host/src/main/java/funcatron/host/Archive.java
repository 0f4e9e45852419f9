package funcatron.host;

import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import javax.management.ObjectName;

/** Makes the class-data archive of all that is loaded by now, with which later processes start faster. */
final class Archive {
    private Archive() {}

    /** Answers 204, or 500 with what the virtual machine says. It must have been started with -XX:+RecordDynamicDumpInfo. */
    static Map<Object, Object> dump(String path) {
        String said;
        try {
            // As `jcmd PID VM.cds dynamic_dump PATH` does.
            said = (String) ManagementFactory.getPlatformMBeanServer().invoke(
                    new ObjectName("com.sun.management:type=DiagnosticCommand"), "vmCds",
                    new Object[] {new String[] {"dynamic_dump", path}}, new String[] {String[].class.getName()});
        } catch (Exception e) {
            said = Failure.text(e);
        }
        if (!Files.isRegularFile(Path.of(path))) {
            return Replies.text(500, said);
        }
        Map<Object, Object> answer = new HashMap<>();
        answer.put("status", 204);
        return answer;
    }
}
