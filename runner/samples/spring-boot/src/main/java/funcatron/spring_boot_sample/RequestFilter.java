package funcatron.spring_boot_sample;

import java.io.IOException;

import jakarta.servlet.FilterChain;
import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import org.slf4j.MDC;
import org.springframework.stereotype.Component;
import org.springframework.web.filter.OncePerRequestFilter;
import org.springframework.web.util.ContentCachingResponseWrapper;

/** What the Runner says of a request: its log lines carry the operation and the id, and it knows its {@link Deadline}. */
@Component
class RequestFilter extends OncePerRequestFilter {

	/** Members of a log line, and names in the MDC. */
	static final String OPERATION = "op", REQUEST_ID = "req";

	/** The request attribute that is the {@link Deadline}. */
	static final String DEADLINE = "deadline";

	@Override
	protected void doFilterInternal(HttpServletRequest request, HttpServletResponse response, FilterChain chain)
			throws ServletException, IOException {
		request.setAttribute(DEADLINE, Deadline.in(request.getHeader("X-Funcatron-Timeout-Ms")));
		MDC.put(OPERATION, request.getHeader("X-Funcatron-Operation"));
		MDC.put(REQUEST_ID, request.getHeader("X-Request-Id"));
		try {
			// Spring flushes what it wrote: that would be chunks, in several segments. This is one, with its length.
			var whole = new ContentCachingResponseWrapper(response);
			chain.doFilter(request, whole);
			whole.copyBodyToResponse();
		} finally {
			MDC.remove(OPERATION);
			MDC.remove(REQUEST_ID);
		}
	}
}
