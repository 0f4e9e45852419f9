package funcatron.host;

import java.util.concurrent.Future;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/** Ends requests at their deadline: first the thread is interrupted, and, where that does not help, left to itself. */
final class Watchdog {
    /** How long after the interrupt a function may take to end in good order. */
    private static final long LENIENCE = TimeUnit.MILLISECONDS.toNanos(200);

    private final ScheduledThreadPoolExecutor timer = new ScheduledThreadPoolExecutor(1, r -> {
        Thread thread = new Thread(r, "watchdog");
        thread.setDaemon(true);
        return thread;
    });

    Watchdog() {
        timer.setRemoveOnCancelPolicy(true);
    }

    /** One run of a function by the thread that made this. The monitor guards all that changes. */
    final class Run {
        private final Thread thread = Thread.currentThread();
        private final Runnable abandon;
        private Future<?> next;
        private boolean over;
        private boolean interrupted;
        private boolean abandoned;

        private Run(Runnable abandon) {
            this.abandon = abandon;
        }

        private synchronized void interrupt() {
            if (!over) {
                interrupted = true;
                thread.interrupt();
                next = timer.schedule(this::leave, LENIENCE, TimeUnit.NANOSECONDS);
            }
        }

        private void leave() {
            synchronized (this) {
                if (over) {
                    return;
                }
                abandoned = true;
            }
            abandon.run();
        }

        /** Says that the function has returned; false where nobody waited for it any more. */
        boolean end() {
            synchronized (this) {
                over = true;
                if (next != null) {
                    next.cancel(false);
                }
                if (interrupted) {
                    Thread.interrupted(); // it was meant for the function
                }
                return !abandoned;
            }
        }

        /** Whether the deadline has passed. */
        synchronized boolean late() {
            return interrupted;
        }
    }

    /**
     * Watches over what the calling thread does next.
     *
     * @param left until the deadline, in ns; negative is none
     * @param abandon answers the request instead of the function, on the watchdog's thread
     */
    Run watch(long left, Runnable abandon) {
        Run run = new Run(abandon);
        if (left >= 0) {
            synchronized (run) {
                run.next = timer.schedule(run::interrupt, left, TimeUnit.NANOSECONDS);
            }
        }
        return run;
    }
}
