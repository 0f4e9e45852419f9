package funcatron.host;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.logging.Formatter;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;

/** Writes log records as the Runner reads them: a JSON object a line, on stdout, with one write. */
final class LogLines extends Handler {
    /** The Runner cuts lines at 64 KiB, and a cut one is no JSON any more. */
    private static final int MAX_LINE = 60 << 10;

    /** The most chars of a message that is cut: a char is six bytes in JSON at most. */
    private static final int MAX_CUT = MAX_LINE / 8;

    private static final ThreadLocal<RequestLogger> CURRENT = new ThreadLocal<>();
    private static final OutputStream STDOUT = new FileOutputStream(FileDescriptor.out); // whatever System.out is made
    private static final Formatter WORDS = new Formatter() {
        @Override
        public String format(LogRecord record) {
            return formatMessage(record);
        }
    };

    /** Makes the lines of the calling thread those of a request. */
    static void enter(RequestLogger logger) {
        CURRENT.set(logger);
    }

    static void leave() {
        CURRENT.remove();
    }

    /** The logger of one request, whichever thread uses it. */
    static final class RequestLogger extends Logger {
        private static final Logger ROOT = Logger.getLogger("");

        private final String op;
        private final String req;

        /** Of a request made by hand either may be null. */
        RequestLogger(String op, String req) {
            super(op, null);
            this.op = op == null ? "-" : op;
            this.req = req == null ? "" : req;
            setLevel(Level.ALL); // isLoggable says it
        }

        String req() {
            return req;
        }

        @Override
        public boolean isLoggable(Level level) {
            return ROOT.isLoggable(level);
        }

        @Override
        public void log(LogRecord record) {
            if (isLoggable(record.getLevel())) {
                write(line(record, this, null));
            }
        }
    }

    @Override
    public void publish(LogRecord record) {
        if (!isLoggable(record)) {
            return;
        }
        String name = record.getLoggerName();
        write(line(record, CURRENT.get(), name == null || name.isEmpty() || name.equals("funcatron") ? null : name));
    }

    /** @param logger the name of who logs, or null */
    private static byte[] line(LogRecord record, RequestLogger request, String logger) {
        String message = WORDS.format(record);
        if (message == null) {
            message = "";
        }
        if (record.getThrown() != null) {
            message += (message.isEmpty() ? "" : ": ") + Failure.text(record.getThrown());
        }
        byte[] line = line(record, message, request, logger, 0);
        if (line.length > MAX_LINE) {
            line = line(record, message.substring(0, Math.min(message.length(), MAX_CUT)), request, null, line.length);
        }
        return line;
    }

    /** @param cut the bytes of the whole line, where the message is cut */
    private static byte[] line(LogRecord record, String message, RequestLogger request, String logger, int cut) {
        Map<String, Object> members = new LinkedHashMap<>();
        members.put("level", level(record.getLevel()));
        members.put("msg", message);
        if (request != null) {
            members.put("op", request.op);
            members.put("req", request.req);
        }
        if (logger != null) {
            members.put("logger", logger);
        }
        if (cut > 0) {
            members.put("cut", cut);
        }
        byte[] json = Json.write(members);
        byte[] line = java.util.Arrays.copyOf(json, json.length + 1);
        line[json.length] = '\n';
        return line;
    }

    private static String level(Level level) {
        int value = level.intValue();
        if (value >= Level.SEVERE.intValue()) {
            return "ERROR";
        }
        if (value >= Level.WARNING.intValue()) {
            return "WARN";
        }
        return value >= Level.INFO.intValue() ? "INFO" : "DEBUG";
    }

    private static void write(byte[] line) {
        synchronized (STDOUT) {
            try {
                STDOUT.write(line);
            } catch (IOException e) {
                // There is nobody to tell.
            }
        }
    }

    @Override
    public void flush() {}

    @Override
    public void close() {}
}
