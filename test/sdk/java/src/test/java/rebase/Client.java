package rebase;

import com.google.api.core.ApiFuture;
import com.google.auth.oauth2.AccessToken;
import com.google.auth.oauth2.GoogleCredentials;
import com.google.firebase.FirebaseApp;
import com.google.firebase.FirebaseOptions;
import com.google.firebase.database.DataSnapshot;
import com.google.firebase.database.DatabaseError;
import com.google.firebase.database.DatabaseReference;
import com.google.firebase.database.FirebaseDatabase;
import com.google.firebase.database.Query;
import com.google.firebase.database.ValueEventListener;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Date;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;

/** An app with a connection of its own. */
final class Client implements AutoCloseable {
  static final int PORT = port();

  final FirebaseApp app;
  final FirebaseDatabase db;

  Client(String namespace) {
    this(namespace, PORT);
  }

  Client(String namespace, int port) {
    FirebaseOptions options =
        FirebaseOptions.builder()
            .setCredentials(
                GoogleCredentials.create(new AccessToken("owner", new Date(System.currentTimeMillis() + 86_400_000L))))
            .setDatabaseUrl("http://127.0.0.1:" + port + "?ns=" + namespace)
            .setProjectId("test")
            .build();
    app = FirebaseApp.initializeApp(options, UUID.randomUUID().toString());
    db = FirebaseDatabase.getInstance(app);
  }

  private static int port() {
    String port = System.getenv("REBASE_PORT");
    if (port == null || port.isEmpty()) {
      throw new IllegalStateException("REBASE_PORT is not set: run test/sdk/run-java.sh");
    }
    return Integer.parseInt(port);
  }

  /** A database of the test's own. */
  static String namespace() {
    return "java-" + UUID.randomUUID().toString().substring(0, 12);
  }

  DatabaseReference ref(String path) {
    return path.isEmpty() ? db.getReference() : db.getReference(path);
  }

  void set(String path, Object value) {
    await(ref(path).setValueAsync(value));
  }

  static <T> T await(ApiFuture<T> future) {
    return await(future, 30);
  }

  static <T> T await(ApiFuture<T> future, int seconds) {
    try {
      return future.get(seconds, TimeUnit.SECONDS);
    } catch (Exception e) {
      throw new AssertionError("no success: " + e, e);
    }
  }

  static <T> T await(CompletableFuture<T> future) {
    try {
      return future.get(30, TimeUnit.SECONDS);
    } catch (Exception e) {
      throw new AssertionError("no success: " + e, e);
    }
  }

  /** The value at a place, asked once. */
  static DataSnapshot once(Query query) {
    CompletableFuture<DataSnapshot> got = new CompletableFuture<>();
    query.addListenerForSingleValueEvent(
        new ValueEventListener() {
          @Override
          public void onDataChange(DataSnapshot snapshot) {
            got.complete(snapshot);
          }

          @Override
          public void onCancelled(DatabaseError error) {
            got.completeExceptionally(error.toException());
          }
        });
    return await(got);
  }

  /** What a client that knows nothing yet is told. */
  static DataSnapshot fresh(String namespace, String path) {
    try (Client c = new Client(namespace)) {
      return once(c.ref(path));
    }
  }

  /** Everything a value listener saw, in order. */
  static List<DataSnapshot> values(Query query) {
    List<DataSnapshot> seen = Collections.synchronizedList(new ArrayList<>());
    query.addValueEventListener(
        new ValueEventListener() {
          @Override
          public void onDataChange(DataSnapshot snapshot) {
            seen.add(snapshot);
          }

          @Override
          public void onCancelled(DatabaseError error) {
            throw new AssertionError(error.toString());
          }
        });
    until(() -> !seen.isEmpty(), () -> "a first value");
    return seen;
  }

  static Object last(List<DataSnapshot> seen) {
    return seen.get(seen.size() - 1).getValue();
  }

  static void until(BooleanSupplier probe, Supplier<String> what) {
    until(probe, what, 30);
  }

  static void until(BooleanSupplier probe, Supplier<String> what, int seconds) {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
    while (!probe.getAsBoolean()) {
      if (System.nanoTime() > deadline) {
        throw new AssertionError("gave up waiting for " + what.get());
      }
      try {
        Thread.sleep(5);
      } catch (InterruptedException e) {
        throw new AssertionError(e);
      }
    }
  }

  /** The watcher has heard of everything that was written before this call. */
  static void mark(Client writer, Client watcher) {
    String value = UUID.randomUUID().toString();
    List<DataSnapshot> seen = values(watcher.ref("__mark"));
    writer.set("__mark", value);
    until(() -> value.equals(last(seen)), () -> "the mark");
  }

  static List<String> keys(DataSnapshot snapshot) {
    List<String> keys = new ArrayList<>();
    for (DataSnapshot child : snapshot.getChildren()) {
      keys.add(child.getKey());
    }
    return keys;
  }

  @Override
  public void close() {
    db.goOffline();
    app.delete();
  }
}
