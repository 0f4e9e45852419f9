package funcatron.spring_boot_sample;

import org.springframework.boot.json.JsonWriter.Members;
import org.springframework.boot.json.JsonWriter.ValueProcessor;
import org.springframework.boot.logging.structured.StructuredLoggingJsonMembersCustomizer;

/** Keeps log lines below 64 KiB, where the Runner would cut them, and they would be no JSON any more. */
class LogLine implements StructuredLoggingJsonMembersCustomizer<Object> {

	/** Characters of a message; each has up to 3 bytes. Stack traces are cut in application.properties. */
	private static final int MOST = 16_000;

	@Override
	public void customize(Members<Object> members) {
		members.applyingValueProcessor(ValueProcessor.of(String.class, s -> s.length() > MOST ? s.substring(0, MOST) : s));
	}
}
