package funcatron.intf;

/**
 * One service: it vends items to requests, and gets each back exactly once. Its methods
 * are called by several threads at once, but for {@link #endLife}.
 *
 * @param <T> what it vends
 */
public interface ServiceVendor<T> {
    /** The name of the property that describes it. */
    String name();

    /** The class of what it vends. */
    Class<T> type();

    /** Whether what it vends can be used as a {@code type}. */
    default boolean ofType(Class<?> type) {
        return type.isAssignableFrom(type());
    }

    /** Makes or lends an item for one request, and hands it to {@link Accumulator#accumulate} with itself. */
    T vend(Accumulator accumulator) throws Exception;

    /** Ends the service, when all items are back. */
    void endLife();

    /**
     * Takes an item back when the function is through.
     *
     * @param success whether to keep what was done with it; an exception then is answered 500
     */
    void release(T item, boolean success) throws Exception;
}
