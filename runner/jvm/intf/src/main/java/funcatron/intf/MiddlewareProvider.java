package funcatron.intf;

import java.io.InputStream;
import java.util.Map;
import java.util.function.BiFunction;

/**
 * Wraps every operation of the bundle. The one whose {@link #order} is highest is the
 * first to wrap, and so the nearest to the function.
 */
public interface MiddlewareProvider extends OrderedProvider {
    /**
     * Gives what is called instead of {@code function}: with the body, null where there is
     * none, and the request, for an answer of {@code status}, {@code headers} and {@code body}.
     */
    BiFunction<InputStream, Map<Object, Object>, Map<Object, Object>> wrap(
            BiFunction<InputStream, Map<Object, Object>, Map<Object, Object>> function);
}
