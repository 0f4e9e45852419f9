package funcatron.host;

import java.util.logging.Level;
import java.util.logging.Logger;

/** Sets java.util.logging up: made by the LogManager, by the name that {@link Main} gives it. */
public final class LogConfig {
    // Held: a logger that nobody holds is forgotten with its level.
    private static final Logger JETTY = Logger.getLogger("org.eclipse.jetty");
    private static final Logger HIKARI = Logger.getLogger("com.zaxxer.hikari");

    public LogConfig() {
        Logger root = Logger.getLogger("");
        root.addHandler(new LogLines());
        root.setLevel(Level.INFO);
        JETTY.setLevel(Level.WARNING);
        HIKARI.setLevel(Level.WARNING); // its own coming and going is no news
    }
}
