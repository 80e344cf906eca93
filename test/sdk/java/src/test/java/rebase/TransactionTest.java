package rebase;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.firebase.database.DataSnapshot;
import com.google.firebase.database.DatabaseError;
import com.google.firebase.database.DatabaseReference;
import com.google.firebase.database.MutableData;
import com.google.firebase.database.Transaction;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;
import org.junit.jupiter.api.Test;

/** Transactions alone and against each other. */
class TransactionTest {
  private final String ns = Client.namespace();

  record Outcome(DatabaseError error, boolean committed, DataSnapshot snapshot) {}

  static CompletableFuture<Outcome> run(DatabaseReference ref, Function<MutableData, Transaction.Result> body) {
    CompletableFuture<Outcome> done = new CompletableFuture<>();
    ref.runTransaction(
        new Transaction.Handler() {
          @Override
          public Transaction.Result doTransaction(MutableData data) {
            return body.apply(data);
          }

          @Override
          public void onComplete(DatabaseError error, boolean committed, DataSnapshot snapshot) {
            done.complete(new Outcome(error, committed, snapshot));
          }
        });
    return done;
  }

  private static Transaction.Result increment(MutableData data) {
    Long n = data.getValue(Long.class);
    data.setValue(n == null ? 1 : n + 1);
    return Transaction.success(data);
  }

  @Test
  void contention() throws Exception {
    List<Thread> threads = new ArrayList<>();
    List<Throwable> failures = new ArrayList<>();
    for (int i = 0; i < 5; i++) {
      Thread thread =
          new Thread(
              () -> {
                try (Client c = new Client(ns)) {
                  for (int k = 0; k < 40; k++) {
                    // After 25 tries the SDK gives up; trying again is the caller's part.
                    Outcome out;
                    do {
                      out = Client.await(run(c.ref("n"), TransactionTest::increment));
                    } while (!out.committed && out.error.getCode() == DatabaseError.MAX_RETRIES);
                    assertNull(out.error);
                  }
                } catch (Throwable e) {
                  synchronized (failures) {
                    failures.add(e);
                  }
                }
              });
      threads.add(thread);
      thread.start();
    }
    for (Thread thread : threads) {
      thread.join();
    }
    assertEquals(List.of(), failures);
    assertEquals(200L, Client.fresh(ns, "n").getValue());
  }

  @Test
  void abort() {
    try (Client a = new Client(ns)) {
      a.set("x", "keep");
      Outcome out = Client.await(run(a.ref("x"), data -> Transaction.abort()));
      assertNull(out.error);
      assertFalse(out.committed);
      assertEquals("keep", Client.fresh(ns, "x").getValue());
    }
  }

  @Test
  void aFirstGuessOfNullIsCorrected() {
    try (Client a = new Client(ns);
        Client b = new Client(ns)) {
      a.set("n", 41);
      AtomicInteger tries = new AtomicInteger();
      Outcome out =
          Client.await(
              run(
                  b.ref("n"),
                  data -> {
                    tries.incrementAndGet();
                    return increment(data);
                  }));
      assertTrue(out.committed);
      assertEquals(42L, out.snapshot.getValue());
      assertTrue(tries.get() <= 3, "a stale answer must come after the data: " + tries);
    }
  }

  @Test
  void valuesAndPrioritiesHashAlike() {
    try (Client a = new Client(ns)) {
      Client.await(a.ref("x/a").setValueAsync(1, 2));
      Client.await(a.ref("x/b").setValueAsync("two", "one"));
      Client.await(a.ref("x/c").setValueAsync(Map.of("deep", -0.5, "10", true, "9", false, "é", "ü😀"), 0));
      Client.await(a.ref("x/d").setValueAsync(Long.MAX_VALUE));
      Client.await(a.ref("x/e").setValueAsync(1e19));
      Client.await(a.ref("x").setPriorityAsync(7));
    }
    try (Client b = new Client(ns)) {
      Client.values(b.ref("x"));
      AtomicInteger tries = new AtomicInteger();
      Outcome out =
          Client.await(
              run(
                  b.ref("x"),
                  data -> {
                    tries.incrementAndGet();
                    data.child("n").setValue(1);
                    return Transaction.success(data);
                  }));
      assertTrue(out.committed);
      assertEquals(1, tries.get(), "the client held the data: the first try must fit");
      DataSnapshot got = Client.fresh(ns, "x");
      assertEquals(Long.MAX_VALUE, got.child("d").getValue());
      assertEquals(1e19, got.child("e").getValue());
      assertEquals("one", got.child("b").getPriority());
    }
  }

  @Test
  void deletesWithNull() {
    try (Client a = new Client(ns)) {
      a.set("x", Map.of("k", 1));
      Outcome out =
          Client.await(
              run(
                  a.ref("x"),
                  data -> {
                    data.setValue(null);
                    return Transaction.success(data);
                  }));
      assertTrue(out.committed);
      assertFalse(Client.fresh(ns, "x").exists());
    }
  }
}
