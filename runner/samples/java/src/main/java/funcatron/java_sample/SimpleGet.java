package funcatron.java_sample;

import funcatron.intf.Context;
import funcatron.intf.Func;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/** Serves /simple and /simple/{num}; num is there on the latter. */
public class SimpleGet implements Func<Object> {
    /** How a java.util.Date prints where the time zone is UTC. */
    private static final DateTimeFormatter TIME = DateTimeFormatter.ofPattern("EEE MMM dd HH:mm:ss 'UTC' yyyy", Locale.US);

    @Override
    public Object apply(Object none, Context context) {
        context.getLogger().info("In Java 'SimpleGet... yay!");

        Map<String, Object> answer = new LinkedHashMap<>();
        Object num = context.getPathParams().get("num");
        if (num != null) {
            answer.put("num-param", num);
        }
        answer.put("bools", true);
        answer.put("numero", Math.random());
        answer.put("query-params", context.getQueryParams());
        answer.put("time", ZonedDateTime.now(ZoneOffset.UTC).format(TIME));
        return answer;
    }
}
