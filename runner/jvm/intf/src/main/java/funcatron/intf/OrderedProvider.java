package funcatron.intf;

/** A provider that there may be several of; {@link java.util.ServiceLoader} finds them. */
public interface OrderedProvider {
    /** Its place among the others: the highest comes first. */
    default int order() {
        return 0;
    }
}
