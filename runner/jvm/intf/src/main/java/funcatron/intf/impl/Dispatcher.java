package funcatron.intf.impl;

import funcatron.intf.Context;
import funcatron.intf.Func;
import funcatron.intf.StatusException;
import java.io.InputStream;
import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.util.Map;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.logging.Level;
import java.util.logging.Logger;

/** One operation: takes the body and the request, and gives the answer, by a new object of the function's class. */
final class Dispatcher implements BiFunction<InputStream, Map<Object, Object>, Map<Object, Object>> {
    private final Constructor<?> constructor;
    private final Body body;
    private final Function<Object, byte[]> serializer;
    private final Map<String, Object> properties;
    private final Services services;
    private final Logger logger;

    /** Everything that can be wrong with the function is found here, and not at a request. */
    @SuppressWarnings("unchecked") // the contract says what they are
    Dispatcher(Map<Object, Object> operation, ClassLoader loader, Map<String, Object> properties, Services services, Logger logger) {
        String name = (String) operation.get("$operationId");
        Class<?> type = load(name, loader);
        this.constructor = constructorOf(type);
        this.body = new Body(
                ParameterType.of(type),
                (BiFunction<InputStream, Class<?>, Object>) operation.get("$deserializer"),
                (BiFunction<InputStream, java.lang.reflect.Type, Object>) operation.get("$typeDeserializer"));
        this.serializer = (Function<Object, byte[]>) operation.get("$serializer");
        this.properties = properties;
        this.services = services;
        this.logger = logger;
    }

    private static Class<?> load(String name, ClassLoader loader) {
        Class<?> type;
        try {
            type = Class.forName(name, true, loader);
        } catch (ClassNotFoundException e) {
            throw new IllegalArgumentException("the jar has no class " + name, e);
        } catch (LinkageError e) {
            throw new IllegalArgumentException("class " + name + " cannot be loaded: " + e, e);
        }
        if (!Func.class.isAssignableFrom(type)) {
            throw new IllegalArgumentException("class " + name + " does not implement funcatron.intf.Func");
        }
        return type;
    }

    private static Constructor<?> constructorOf(Class<?> type) {
        if (java.lang.reflect.Modifier.isAbstract(type.getModifiers())) {
            throw new IllegalArgumentException("class " + type.getName() + " is abstract");
        }
        try {
            Constructor<?> constructor = type.getDeclaredConstructor();
            constructor.setAccessible(true); // where only the class is not public, it may still serve
            return constructor;
        } catch (NoSuchMethodException e) {
            throw new IllegalArgumentException("class " + type.getName() + " has no constructor without parameters", e);
        }
    }

    @Override
    public Map<Object, Object> apply(InputStream in, Map<Object, Object> request) {
        Session session = new Session(services);
        ContextImpl context = new ContextImpl(request, logger, properties, session);
        try {
            Map<Object, Object> answer = run(in, context);
            boolean late = session.used() && context.timeLeft().filter(left -> left.isNegative() || left.isZero()).isPresent();
            session.end(!late);
            if (late) { // nobody hears the answer any more, and who asks again must not find the work done already
                throw new StatusException(504, "the function ran out of time; what it did was rolled back");
            }
            return answer;
        } catch (StatusException e) {
            undo(session, context);
            return Problem.answer(e, context);
        } catch (Throwable e) {
            undo(session, context);
            throw Dispatcher.<RuntimeException>as(e);
        }
    }

    private Map<Object, Object> run(InputStream in, ContextImpl context) throws Throwable {
        Func<Object> function = create();
        Object result = switch (String.valueOf(context.getMethod())) {
            case "get", "head" -> function.get(context);
            case "delete" -> function.delete(context);
            case "post" -> function.post(request(function, in, context), context);
            case "put" -> function.put(request(function, in, context), context);
            case "patch" -> function.patch(request(function, in, context), context);
            default -> function.apply(request(function, in, context), context);
        };
        return Answer.of(result, function, serializer);
    }

    @SuppressWarnings("unchecked") // Body makes what the class's own type parameter says
    private Func<Object> create() throws Throwable {
        try {
            return (Func<Object>) constructor.newInstance();
        } catch (InvocationTargetException e) {
            throw e.getCause();
        }
    }

    private Object request(Func<Object> function, InputStream in, Context context) {
        return body.read(in, context.contentType(), function.jsonDecoder());
    }

    private static void undo(Session session, Context context) {
        try {
            session.end(false);
        } catch (Exception e) {
            context.getLogger().log(Level.SEVERE, "give back services", e);
        }
    }

    /** Lets a checked exception pass where the interface declares none. */
    @SuppressWarnings("unchecked")
    private static <E extends Throwable> E as(Throwable e) throws E {
        throw (E) e;
    }
}
