package funcatron.intf;

import java.util.Map;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.logging.Logger;

/**
 * Adds operations, or replaces them: what a Runner asks of a bundle by name, such as
 * {@code getSwagger} or {@code dispatcherFor}.
 */
public interface OperationProvider extends OrderedProvider {
    /**
     * Called once, when the bundle is loaded.
     *
     * @param addOperation adds an operation under a name
     * @param getOperation gives the operation of a name, or null
     * @param addEndOfLife adds what is to be done at the end
     */
    void installOperation(
            BiFunction<String, BiFunction<Map<Object, Object>, Logger, Object>, Void> addOperation,
            Function<String, BiFunction<Map<Object, Object>, Logger, Object>> getOperation,
            Function<Function<Logger, Void>, Void> addEndOfLife,
            ClassLoader loader,
            Logger logger);
}
