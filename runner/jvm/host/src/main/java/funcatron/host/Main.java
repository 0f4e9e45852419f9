package funcatron.host;

import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * Serves the functions of one jar to the Runner:
 * {@code java -jar funcatron-jvm-host.jar bundle.jar}, the rest in the environment.
 *
 * <p>It listens when everything is loaded. A jar that cannot be served is said to be so on
 * stderr, with all that is wrong, and the program exits 1.
 */
public final class Main {
    /** The Runner kills 10 s after its SIGTERM: requests get 9 s, and what then still hangs the rest. */
    private static final long GRACE = TimeUnit.SECONDS.toNanos(9);

    private static final long LAST = TimeUnit.MILLISECONDS.toNanos(9700);

    static {
        // Read when the first logger is made; else a file would be.
        System.setProperty("java.util.logging.config.class", LogConfig.class.getName());
    }

    private Main() {}

    public static void main(String[] args) {
        try {
            if (args.length != 1) {
                throw new UnservableException("usage: java -jar funcatron-jvm-host.jar BUNDLE.jar");
            }
            serve(Path.of(args[0]), Settings.of(System.getenv()));
        } catch (UnservableException e) {
            System.err.println(e.getMessage());
            System.exit(1);
        } catch (Throwable e) { // whatever the bundle's own code throws while it is loaded
            System.err.println("the bundle does not start: " + Failure.text(e));
            System.exit(1);
        }
    }

    private static void serve(Path jar, Settings settings) throws Throwable {
        Mapper.warmUp();
        Logger logger = Logger.getLogger("funcatron");
        Bundle bundle = Bundle.load(jar, settings, logger);
        Operations operations = Operations.of(bundle, settings.document());
        Watchdog watchdog = new Watchdog();
        FunctionHandler handler = new FunctionHandler(operations, bundle.loader(), watchdog, System.getProperty("funcatron.archive"));
        FunctionServer server = new FunctionServer(settings, handler);
        Signals.onTerm(() -> stop(server, handler, bundle, logger));
        server.start();
    }

    /** Runs on a thread of its own. */
    private static void stop(FunctionServer server, FunctionHandler handler, Bundle bundle, Logger logger) {
        long began = System.nanoTime();
        Thread last = new Thread(() -> {
            LockSupport.parkNanos(LAST);
            Runtime.getRuntime().halt(0); // something does not end: the Runner would kill us next
        }, "last");
        last.setDaemon(true);
        last.start();
        try {
            server.stopAccepting();
            if (!handler.await(GRACE - (System.nanoTime() - began))) {
                logger.warning("stopping, with requests that do not end");
            }
            bundle.end();
        } catch (IOException | RuntimeException e) {
            logger.log(Level.SEVERE, "stop", e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        System.exit(0);
    }
}
