package funcatron.intf;

/** What was vended to one request, to be given back at its end. */
public interface Accumulator {
    /** Keeps an item until the request's end, when the vendor gets it back. */
    <T> void accumulate(T item, ServiceVendor<T> vendor);

    /** Gives everything back, last first. Calling it again is harmless. */
    void finished(boolean success);
}
