package funcatron.spring_boot_sample;

import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.autoconfigure.condition.ConditionalOnProperty;
import org.springframework.http.HttpStatus;
import org.springframework.jdbc.core.simple.JdbcClient;
import org.springframework.stereotype.Service;
import org.springframework.transaction.annotation.Transactional;
import org.springframework.web.server.ResponseStatusException;

/** The rows of the guest book; schema.sql makes its table. */
@Service
@ConditionalOnProperty(Database.URL)
class Visits {

	private static final Logger log = LoggerFactory.getLogger(Visits.class);

	private final JdbcClient db;

	private final long most;

	Visits(JdbcClient db, @Value("${maxVisits:1000}") long most) {
		this.db = db;
		this.most = most;
	}

	/** The time is RFC 3339, UTC. */
	record Visit(long id, String name, String time) {
	}

	/**
	 * Writes first and counts then: a visit too many is taken back by the rollback that its exception brings, and so is
	 * one that nobody waits for any more when the milliseconds of sleep are over.
	 */
	@Transactional
	Visit add(String name, long sleep, Deadline deadline) {
		String time = Instant.now().truncatedTo(ChronoUnit.SECONDS).toString();
		long id = db.sql("INSERT INTO visits (name, time) VALUES (?, ?) RETURNING id").params(name, time).query(Long.class).single();
		long count = db.sql("SELECT count(*) FROM visits WHERE name = ?").param(name).query(Long.class).single();
		if (count > most) {
			throw new ResponseStatusException(HttpStatus.CONFLICT, name + " has visited " + most + " times already");
		}
		deadline.sleep(sleep);
		log.info("{} visited, count {}", name, count);
		return new Visit(id, name, time);
	}

	/** The latest visits, the latest first; of everybody, where name is null. */
	List<Visit> latest(String name, int limit) {
		return db.sql("SELECT id, name, time FROM visits WHERE ?1 IS NULL OR name = ?1 ORDER BY id DESC LIMIT ?2")
				.param(1, name).param(2, limit).query(Visit.class).list();
	}
}
