package funcatron.java_sample;

import funcatron.intf.Context;
import funcatron.intf.Func;
import java.util.Map;

/** Logs a text at two levels, and answers with the id that finds the lines. */
public class Log implements Func<Object> {
    @Override
    public Object apply(Object none, Context context) {
        String text = (String) context.getQueryParams().get("text");
        context.getLogger().info(text);
        context.getLogger().warning(text);
        return Map.of("requestId", context.requestId());
    }
}
