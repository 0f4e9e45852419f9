package funcatron.spring_boot_sample;

import java.util.List;

import org.springframework.beans.factory.ObjectProvider;
import org.springframework.http.HttpStatus;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestAttribute;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.ResponseStatus;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.server.ResponseStatusException;

/** The guest book, which is there where the bundle was enabled with a database. */
@RestController
@RequestMapping("/visits")
class VisitsController {

	private final ObjectProvider<Visits> visits;

	VisitsController(ObjectProvider<Visits> visits) {
		this.visits = visits;
	}

	record Visitor(String name) {
	}

	@PostMapping
	@ResponseStatus(HttpStatus.CREATED)
	Visits.Visit add(@RequestBody Visitor visitor, @RequestParam(defaultValue = "0") long sleep, @RequestAttribute Deadline deadline) {
		return visits().add(visitor.name, sleep, deadline);
	}

	@GetMapping
	List<Visits.Visit> list(@RequestParam(required = false) String name, @RequestParam(defaultValue = "100") int limit) {
		return visits().latest(name, limit);
	}

	private Visits visits() {
		return visits.getIfAvailable(() -> {
			throw new ResponseStatusException(HttpStatus.SERVICE_UNAVAILABLE, "the service \"db\" is not configured: enable the bundle with props "
					+ "{\"db\": {\"type\": \"database\", \"url\": \"jdbc:sqlite:/var/lib/visits.db?busy_timeout=10000\"}}");
		});
	}
}
