package funcatron.intf.impl;

import funcatron.intf.Func;
import java.lang.reflect.GenericArrayType;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.lang.reflect.WildcardType;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/** Finds what a function's class says of {@code Func}'s type parameter, wherever among its ancestors it says so. */
final class ParameterType {
    private ParameterType() {}

    /** The type that a class implements Func of; Object where it does not say. */
    static Type of(Class<?> function) {
        Type found = find(function, Map.of());
        return found == null ? Object.class : found;
    }

    /** The class of a type: that of List&lt;String&gt; is List. */
    static Class<?> raw(Type type) {
        if (type instanceof Class<?> c) {
            return c;
        }
        if (type instanceof ParameterizedType p) {
            return (Class<?>) p.getRawType();
        }
        if (type instanceof GenericArrayType a) {
            return raw(a.getGenericComponentType()).arrayType();
        }
        return Object.class;
    }

    /** @param known what the type variables of the class that {@code type} stands in are */
    private static Type find(Type type, Map<TypeVariable<?>, Type> known) {
        Class<?> c = type instanceof Class<?> || type instanceof ParameterizedType ? raw(type) : null;
        if (c == null || !Func.class.isAssignableFrom(c)) {
            return null;
        }
        Map<TypeVariable<?>, Type> variables = new HashMap<>();
        if (type instanceof ParameterizedType p) {
            for (int i = 0; i < c.getTypeParameters().length; i++) {
                variables.put(c.getTypeParameters()[i], resolve(p.getActualTypeArguments()[i], known));
            }
        }
        if (c == Func.class) {
            return variables.get(c.getTypeParameters()[0]);
        }
        Type found = find(c.getGenericSuperclass(), variables);
        for (Type i : c.getGenericInterfaces()) {
            if (found == null) {
                found = find(i, variables);
            }
        }
        return found;
    }

    /** A type without type variables: one that is not known is what bounds it. */
    private static Type resolve(Type type, Map<TypeVariable<?>, Type> known) {
        if (type instanceof TypeVariable<?> v) {
            Type is = known.get(v);
            return is != null ? is : raw(v.getBounds()[0]);
        }
        if (type instanceof WildcardType w) {
            return resolve(w.getUpperBounds()[0], known);
        }
        if (type instanceof GenericArrayType a) {
            Type component = resolve(a.getGenericComponentType(), known);
            return component instanceof Class<?> c ? c.arrayType() : (GenericArrayType) () -> component;
        }
        if (type instanceof ParameterizedType p) {
            Type[] arguments = Arrays.stream(p.getActualTypeArguments()).map(t -> resolve(t, known)).toArray(Type[]::new);
            return new Parameterized(p.getRawType(), arguments, p.getOwnerType());
        }
        return type;
    }

    private record Parameterized(Type getRawType, Type[] arguments, Type getOwnerType) implements ParameterizedType {
        @Override
        public Type[] getActualTypeArguments() {
            return arguments.clone();
        }
    }
}
