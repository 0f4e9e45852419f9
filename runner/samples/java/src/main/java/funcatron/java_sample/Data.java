package funcatron.java_sample;

/** What PostOrDelete takes and gives. */
public record Data(String name, long age) {}
