package funcatron.host;

import java.lang.reflect.Proxy;

/**
 * SIGTERM, by sun.misc.Signal (module jdk.unsupported), which javac lets nobody name: a
 * shutdown hook would do, but runs at a function's System.exit as well, and cannot tell.
 */
final class Signals {
    private Signals() {}

    static void onTerm(Runnable stop) throws ReflectiveOperationException {
        Class<?> signal = Class.forName("sun.misc.Signal");
        Class<?> handler = Class.forName("sun.misc.SignalHandler");
        Object proxy = Proxy.newProxyInstance(Signals.class.getClassLoader(), new Class<?>[] {handler}, (self, method, arguments) -> {
            switch (method.getName()) {
                case "handle":
                    new Thread(stop, "stop").start();
                    return null;
                case "equals":
                    return self == arguments[0];
                case "hashCode":
                    return System.identityHashCode(self);
                default:
                    return "SIGTERM";
            }
        });
        signal.getMethod("handle", signal, handler).invoke(null, signal.getConstructor(String.class).newInstance("TERM"), proxy);
    }
}
