package funcatron.intf;

/**
 * A failure that says how it is to be answered: with a status and, as
 * application/problem+json, a message for the client. What the function did in its
 * services' transactions is rolled back. Its cause is for the log alone.
 */
public class StatusException extends RuntimeException {
    private final int status;

    /** @param status 400 to 599; anything else is taken for 500 */
    public StatusException(int status, String message) {
        this(status, message, null);
    }

    /** @param status 400 to 599; anything else is taken for 500 */
    public StatusException(int status, String message, Throwable cause) {
        super(message, cause);
        this.status = status < 400 || status > 599 ? 500 : status;
    }

    public int status() {
        return status;
    }
}
