package funcatron.java_sample;

import funcatron.intf.Context;
import funcatron.intf.Func;
import funcatron.intf.StatusException;

/** Fails as it is told: by an exception that nobody expected, or by one that says how it is to be answered. */
public class Fail implements Func<Object> {
    @Override
    public Object apply(Object none, Context context) {
        if ("refuse".equals(context.getPathParams().get("how"))) {
            throw new StatusException(422, "the sample refuses on purpose");
        }
        throw new IllegalStateException("the sample fails on purpose");
    }
}
