package funcatron.intf.impl;

import static org.junit.jupiter.api.Assertions.assertEquals;

import funcatron.intf.Context;
import funcatron.intf.Func;
import java.io.InputStream;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class ParameterTypeTest {
    static class Data {}

    static class Direct implements Func<Data> {
        @Override
        public Object apply(Data data, Context context) {
            return null;
        }
    }

    static class Inherited extends Direct {}

    abstract static class Base<A, B> implements Func<B> {
        @Override
        public Object apply(B b, Context context) {
            return null;
        }
    }

    static class BySuperclass extends Base<String, Data> {}

    abstract static class Middle<T> extends Base<Integer, List<T>> {}

    static class OfList extends Middle<Data> {}

    /** As a Scala trait that is mixed in: it comes before or after Func, and says nothing of its own. */
    interface Decoder<T> {}

    interface Trait<T> extends Decoder<T>, Func<T> {
        @Override
        default Object apply(T t, Context context) {
            return null;
        }
    }

    static class ByInterface implements Decoder<Data>, Trait<Data> {}

    interface Arrays<T> extends Trait<T[]> {}

    static class OfArray implements Arrays<Data> {}

    static class Bytes implements Trait<byte[]> {}

    static class Unsaid<T extends Data> implements Trait<T> {}

    static class Wild implements Trait<Map<String, ? extends InputStream>> {}

    @SuppressWarnings("rawtypes")
    static class Raw implements Func {
        @Override
        public Object apply(Object o, Context context) {
            return null;
        }
    }

    @Test
    void findsTheParameterThroughAncestors() {
        assertEquals(Data.class, ParameterType.of(Direct.class));
        assertEquals(Data.class, ParameterType.of(Inherited.class));
        assertEquals(Data.class, ParameterType.of(BySuperclass.class));
        assertEquals(Data.class, ParameterType.of(ByInterface.class));
        assertEquals(Data[].class, ParameterType.of(OfArray.class));
        assertEquals(byte[].class, ParameterType.of(Bytes.class));
    }

    @Test
    void takesTheBoundOfWhatIsNotSaid() {
        assertEquals(Data.class, ParameterType.of(Unsaid.class));
        assertEquals(Object.class, ParameterType.of(Raw.class));
    }

    @Test
    void keepsTheTypesOfMembers() {
        var list = (java.lang.reflect.ParameterizedType) ParameterType.of(OfList.class);
        assertEquals(List.class, list.getRawType());
        assertEquals(Data.class, list.getActualTypeArguments()[0]);
        assertEquals(List.class, ParameterType.raw(list));
        var map = (java.lang.reflect.ParameterizedType) ParameterType.of(Wild.class);
        assertEquals(InputStream.class, map.getActualTypeArguments()[1]);
    }
}
