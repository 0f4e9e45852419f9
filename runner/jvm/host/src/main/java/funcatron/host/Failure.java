package funcatron.host;

import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.Set;

/** Exceptions as text: the message and the function's part of the stack. */
final class Failure {
    private static final int MAX_FRAMES = 100; // of each

    private Failure() {}

    static String text(Throwable e) {
        StringBuilder text = new StringBuilder();
        append(text, e, Collections.newSetFromMap(new IdentityHashMap<>()));
        return text.toString();
    }

    private static void append(StringBuilder text, Throwable e, Set<Throwable> seen) {
        text.append(words(e));
        int frames = 0;
        for (StackTraceElement frame : e.getStackTrace()) {
            if (isOurs(frame.getClassName()) || ++frames > MAX_FRAMES) {
                break;
            }
            text.append("\n\tat ").append(frame);
        }
        seen.add(e);
        if (e.getCause() != null && !seen.contains(e.getCause())) {
            append(text.append("\nCaused by: "), e.getCause(), seen);
        }
    }

    /** An exception's own words may fail, too. */
    private static String words(Throwable e) {
        try {
            return e.toString();
        } catch (RuntimeException | StackOverflowError own) {
            return e.getClass().getName();
        }
    }

    /** Where the Runner's part of the stack begins. */
    private static boolean isOurs(String name) {
        return name.startsWith("funcatron.intf.impl.Dispatcher") || name.startsWith("funcatron.host.");
    }
}
