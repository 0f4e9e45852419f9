package funcatron.spring_boot_sample;

import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;
import java.util.stream.Collectors;
import java.util.stream.LongStream;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import jakarta.servlet.http.HttpServletRequest;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.MDC;
import org.springframework.http.HttpHeaders;
import org.springframework.http.HttpStatus;
import org.springframework.http.HttpStatusCode;
import org.springframework.http.MediaType;
import org.springframework.http.ResponseEntity;
import org.springframework.util.MultiValueMap;
import org.springframework.web.bind.annotation.DeleteMapping;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestAttribute;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestHeader;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.server.ResponseStatusException;

/** The operations that need nothing but the request. */
@RestController
class SampleController {

	private static final Logger log = LoggerFactory.getLogger(SampleController.class);

	/** As a java.util.Date prints, in UTC. */
	private static final DateTimeFormatter DATE = DateTimeFormatter.ofPattern("EEE MMM dd HH:mm:ss 'UTC' yyyy", Locale.ENGLISH);

	@JsonInclude(JsonInclude.Include.NON_NULL)
	record Simple(@JsonProperty("num-param") Long num, boolean bools, double numero,
			@JsonProperty("query-params") Map<String, Object> queryParams, String time) {
	}

	record Data(String name, long age) {
	}

	record Record(long id, String text, double ratio, List<String> tags) {
	}

	record Params(long id, String name, int limit, boolean on, List<String> tags) {
	}

	record Logged(String requestId) {
	}

	record Slept(long slept) {
	}

	@GetMapping({ "/simple", "/simple/{num}" })
	Simple simple(@PathVariable(required = false) Long num, @RequestParam MultiValueMap<String, String> query) {
		log.info("In Spring Boot 'SimpleGet... yay!");
		Map<String, Object> params = query.entrySet().stream().collect(Collectors.toMap(Map.Entry::getKey,
				e -> e.getValue().size() == 1 ? e.getValue().get(0) : e.getValue()));
		return new Simple(num, true, ThreadLocalRandom.current().nextDouble(), params, DATE.format(ZonedDateTime.now(ZoneOffset.UTC)));
	}

	@PostMapping("/change/{cnt}")
	List<Data> repeat(@PathVariable long cnt, @RequestBody Data data) {
		return LongStream.rangeClosed(1, cnt).mapToObj(i -> new Data(data.name + i, data.age + i)).toList();
	}

	@DeleteMapping("/change/{cnt}")
	Data delete(@PathVariable long cnt) {
		return new Data("Deleted " + cnt, cnt);
	}

	@GetMapping("/change/{cnt}")
	ResponseEntity<String> neither(HttpServletRequest request) {
		return ResponseEntity.badRequest().contentType(MediaType.TEXT_PLAIN)
				.body("Expecting a POST or DELETE, but got " + request.getMethod());
	}

	@PostMapping("/echo")
	ResponseEntity<byte[]> echo(@RequestHeader(name = HttpHeaders.CONTENT_TYPE, required = false) MediaType type,
			@RequestBody(required = false) byte[] bytes) {
		byte[] same = bytes == null ? new byte[0] : bytes;
		return ResponseEntity.ok().contentType(type == null ? MediaType.APPLICATION_OCTET_STREAM : type)
				.header("X-Sample-Length", String.valueOf(same.length)).body(same);
	}

	@PostMapping("/record")
	Record record(@RequestBody Record record) {
		return record;
	}

	@GetMapping("/params/{id}/{name}")
	Params params(@PathVariable long id, @PathVariable String name, @RequestParam(defaultValue = "10") int limit,
			@RequestParam(defaultValue = "false") boolean on, @RequestParam(defaultValue = "") List<String> tags) {
		return new Params(id, name, limit, on, tags);
	}

	@GetMapping("/status/{code}")
	ResponseEntity<String> status(@PathVariable int code) {
		var answer = ResponseEntity.status(HttpStatusCode.valueOf(code)).header("X-Sample-Status", String.valueOf(code));
		if (code / 100 == 3) {
			answer.header(HttpHeaders.LOCATION, "/elsewhere");
		}
		if (code == 204 || code == 304) {
			return answer.build();
		}
		return answer.contentType(MediaType.TEXT_PLAIN).body("status " + code);
	}

	@GetMapping("/fail/{how}")
	void fail(@PathVariable String how) {
		if (how.equals("refuse")) {
			throw new ResponseStatusException(HttpStatus.UNPROCESSABLE_ENTITY, "the sample refuses on purpose");
		}
		throw new IllegalStateException("the sample fails on purpose");
	}

	@GetMapping("/log")
	Logged log(@RequestParam String text) {
		log.info(text);
		log.warn(text);
		return new Logged(MDC.get(RequestFilter.REQUEST_ID));
	}

	@GetMapping("/sleep/{ms}")
	Slept sleep(@PathVariable long ms, @RequestAttribute Deadline deadline) {
		deadline.sleep(ms);
		return new Slept(ms);
	}
}
