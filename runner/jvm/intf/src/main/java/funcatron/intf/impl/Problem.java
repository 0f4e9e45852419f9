package funcatron.intf.impl;

import funcatron.intf.Context;
import funcatron.intf.StatusException;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.logging.Level;

/** Answers of application/problem+json (RFC 9457), of the members that the gateway's own errors have. */
final class Problem {
    private Problem() {}

    /** The answer that an exception asks for. What is not the client's fault is logged, with its cause. */
    static Map<Object, Object> answer(StatusException e, Context context) {
        context.getLogger().log(e.status() < 500 ? Level.FINE : Level.SEVERE, e, () -> "function failed: " + e.getMessage());
        return answer(e.status(), e.getMessage(), context.requestId());
    }

    static Map<Object, Object> answer(int status, String detail, String requestId) {
        StringBuilder json = new StringBuilder("{\"title\":").append(quote(title(status))).append(",\"status\":").append(status);
        if (detail != null && !detail.isEmpty()) {
            json.append(",\"detail\":").append(quote(detail));
        }
        json.append(",\"requestId\":").append(quote(requestId)).append('}');
        Map<Object, Object> answer = new HashMap<>();
        answer.put("status", status);
        answer.put("headers", Map.of("Content-Type", "application/problem+json"));
        answer.put("body", json.toString().getBytes(StandardCharsets.UTF_8));
        return answer;
    }

    private static String title(int status) {
        return switch (status) {
            case 400 -> "Bad Request";
            case 401 -> "Unauthorized";
            case 402 -> "Payment Required";
            case 403 -> "Forbidden";
            case 404 -> "Not Found";
            case 405 -> "Method Not Allowed";
            case 406 -> "Not Acceptable";
            case 408 -> "Request Timeout";
            case 409 -> "Conflict";
            case 410 -> "Gone";
            case 412 -> "Precondition Failed";
            case 413 -> "Content Too Large";
            case 415 -> "Unsupported Media Type";
            case 422 -> "Unprocessable Content";
            case 423 -> "Locked";
            case 424 -> "Failed Dependency";
            case 428 -> "Precondition Required";
            case 429 -> "Too Many Requests";
            case 451 -> "Unavailable For Legal Reasons";
            case 500 -> "Internal Server Error";
            case 501 -> "Not Implemented";
            case 502 -> "Bad Gateway";
            case 503 -> "Service Unavailable";
            case 504 -> "Gateway Timeout";
            case 507 -> "Insufficient Storage";
            default -> "Error " + status;
        };
    }

    /** A JSON string. A surrogate without its other half, which UTF-8 has no form for, stays an escape. */
    static String quote(String text) {
        StringBuilder json = new StringBuilder(text.length() + 2).append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c == '"' || c == '\\') {
                json.append('\\').append(c);
            } else if (c < ' ' || Character.isSurrogate(c) && !paired(text, i)) {
                json.append(String.format("\\u%04x", (int) c));
            } else {
                json.append(c);
            }
        }
        return json.append('"').toString();
    }

    private static boolean paired(String text, int i) {
        return Character.isHighSurrogate(text.charAt(i))
                ? i + 1 < text.length() && Character.isLowSurrogate(text.charAt(i + 1))
                : i > 0 && Character.isHighSurrogate(text.charAt(i - 1));
    }
}
