package funcatron.intf.impl;

import funcatron.intf.Accumulator;
import funcatron.intf.ServiceVendor;
import funcatron.intf.StatusException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.locks.ReentrantLock;

/**
 * What one request was vended. The lock is held throughout vending and ending: two
 * threads of a request get one item, and none is vended behind the end's back.
 */
final class Session implements Accumulator {
    private final Services services;
    private final ReentrantLock lock = new ReentrantLock();
    private final Deque<Vended<?>> items = new ArrayDeque<>(); // under lock; the last is first
    private final Map<String, Object> byName = new HashMap<>(); // under lock
    private boolean over; // under lock: nothing is vended any more
    private Exception failure; // under lock: the first of those that giving back met

    private record Vended<T>(T item, ServiceVendor<T> vendor) {
        void release(boolean success) throws Exception {
            vendor.release(item, success);
        }
    }

    Session(Services services) {
        this.services = services;
    }

    Services services() {
        return services;
    }

    <T> Optional<T> vend(String name, Class<T> type) throws Exception {
        lock.lockInterruptibly();
        try {
            if (over) {
                throw new IllegalStateException("vend from service " + name + ": the request is over");
            }
            Optional<ServiceVendor<?>> vendor = services.vendor(name).filter(v -> v.ofType(type));
            if (vendor.isEmpty()) {
                return Optional.empty();
            }
            Object item = byName.get(vendor.get().name());
            if (item == null) {
                item = vend(vendor.get());
                byName.put(vendor.get().name(), item);
            }
            return Optional.of(type.cast(item));
        } finally {
            lock.unlock();
        }
    }

    private Object vend(ServiceVendor<?> vendor) throws Exception {
        try {
            return vendor.vend(this);
        } catch (StatusException | InterruptedException e) {
            throw e;
        } catch (Exception e) {
            if (Thread.currentThread().isInterrupted()) {
                throw e; // that it was, and not the service, is the reason
            }
            throw Services.unavailable(vendor.name(), e);
        }
    }

    @Override
    public <T> void accumulate(T item, ServiceVendor<T> vendor) {
        lock.lock();
        try {
            if (over) {
                throw new IllegalStateException("keep what " + vendor.name() + " vended: the request is over");
            }
            items.push(new Vended<>(item, vendor));
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void finished(boolean success) {
        try {
            end(success);
        } catch (RuntimeException e) {
            throw e;
        } catch (Exception e) {
            throw new IllegalStateException("give back services", e);
        }
    }

    /** Whether anything is out, or was. */
    boolean used() {
        lock.lock();
        try {
            return !items.isEmpty();
        } finally {
            lock.unlock();
        }
    }

    /** Gives everything back. Once one item cannot be kept, those after it are undone. */
    void end(boolean success) throws Exception {
        lock.lock();
        try {
            over = true;
            while (!items.isEmpty()) {
                try {
                    items.pop().release(success && failure == null);
                } catch (Exception e) {
                    if (failure == null) {
                        failure = e;
                    } else {
                        failure.addSuppressed(e);
                    }
                }
            }
            if (failure != null) {
                Exception e = failure;
                failure = null;
                throw e;
            }
        } finally {
            lock.unlock();
        }
    }
}
