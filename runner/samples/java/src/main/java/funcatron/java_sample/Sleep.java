package funcatron.java_sample;

import funcatron.intf.Context;
import funcatron.intf.Func;
import java.util.Map;

/** Answers after some milliseconds, which may be longer than it has: then it is interrupted. */
public class Sleep implements Func<Object> {
    @Override
    public Object apply(Object none, Context context) throws InterruptedException {
        Number ms = (Number) context.getPathParams().get("ms");
        Thread.sleep(ms.longValue());
        return Map.of("slept", ms);
    }
}
