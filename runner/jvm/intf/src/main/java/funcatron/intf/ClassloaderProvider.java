package funcatron.intf;

import java.util.function.Function;
import java.util.logging.Logger;

/** Puts a class loader of its own before the bundle's: functions are loaded by it. */
public interface ClassloaderProvider extends OrderedProvider {
    /**
     * @param loader the bundle's, or that of the provider before
     * @param addEndOfLife adds what is to be done at the end
     */
    ClassLoader buildFrom(ClassLoader loader, Function<Function<Logger, Void>, Void> addEndOfLife, Logger logger);
}
