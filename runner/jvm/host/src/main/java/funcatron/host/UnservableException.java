package funcatron.host;

/** Why a jar cannot be served, in words for the operator. */
final class UnservableException extends Exception {
    UnservableException(String message) {
        super(message);
    }

    UnservableException(String message, Throwable cause) {
        super(message, cause);
    }
}
