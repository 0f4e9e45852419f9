package funcatron.spring_boot_sample;

import java.util.concurrent.TimeUnit;

import org.springframework.http.HttpStatus;
import org.springframework.web.server.ResponseStatusException;

/** The moment from which on nobody waits for the answer any more. */
final class Deadline {

	private static final long MOST_MS = TimeUnit.DAYS.toMillis(1);

	private final long at; // on the clock of System.nanoTime, of which only differences mean anything

	private Deadline(long ms) {
		at = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(Math.min(ms, MOST_MS));
	}

	/** The deadline that is in so many milliseconds; a day, where that is null or no number. */
	static Deadline in(String ms) {
		try {
			return new Deadline(Math.max(Long.parseLong(ms), 0));
		} catch (NumberFormatException e) {
			return new Deadline(MOST_MS);
		}
	}

	/** Throws what is answered 504 when the deadline has passed. */
	void check() {
		if (at - System.nanoTime() <= 0) {
			throw new ResponseStatusException(HttpStatus.GATEWAY_TIMEOUT, "the request ran out of time");
		}
	}

	/** Sleeps, but not beyond the deadline: then it throws as {@link #check} does. */
	void sleep(long ms) {
		try {
			TimeUnit.NANOSECONDS.sleep(Math.min(TimeUnit.MILLISECONDS.toNanos(ms), at - System.nanoTime()));
		} catch (InterruptedException e) {
			Thread.currentThread().interrupt();
			throw new ResponseStatusException(HttpStatus.SERVICE_UNAVAILABLE, "the application ends");
		}
		check();
	}
}
