package rebase;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.api.core.ApiFuture;
import com.google.firebase.database.DataSnapshot;
import com.google.firebase.database.ServerValue;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Leaving and coming back: onDisconnect, queued writes, lost answers, range merges. */
class ReconnectTest {
  private final String ns = Client.namespace();
  private Proxy proxy;
  private Client a;
  private Client b;

  @BeforeEach
  void open() throws Exception {
    proxy = new Proxy();
    a = new Client(ns, proxy.port());
    b = new Client(ns);
  }

  @AfterEach
  void close() throws Exception {
    a.close();
    b.close();
    proxy.close();
  }

  @Test
  void onDisconnectRunsAsOneEvent() {
    a.set("p", Map.of("state", "here", "gone", "soon", "n", 1));
    Client.await(a.ref("p/state").onDisconnect().setValueAsync("away"));
    Map<String, Object> changes = new HashMap<>();
    changes.put("list/y", 2);
    changes.put("n", 6);
    Client.await(a.ref("p").onDisconnect().updateChildrenAsync(changes));
    Client.await(a.ref("p/gone").onDisconnect().removeValueAsync());
    Client.await(a.ref("p/seen").onDisconnect().setValueAsync(ServerValue.TIMESTAMP));
    Client.await(a.ref("never").onDisconnect().setValueAsync(true));
    Client.await(a.ref("never").onDisconnect().cancelAsync());
    List<DataSnapshot> seen = Client.values(b.ref("p"));
    a.db.goOffline();
    Client.until(() -> seen.size() > 1, () -> "the disconnect");
    Client.mark(b, b);
    assertEquals(2, seen.size(), "one event for all of them");
    DataSnapshot got = seen.get(1);
    assertEquals("away", got.child("state").getValue());
    assertEquals(6L, got.child("n").getValue());
    assertEquals(2L, got.child("list/y").getValue());
    assertFalse(got.child("gone").exists());
    assertTrue(Math.abs((Long) got.child("seen").getValue() - System.currentTimeMillis()) < 60_000);
    assertFalse(Client.fresh(ns, "never").exists());
    a.db.goOnline();
    Client.await(a.ref("back").setValueAsync(true));
    assertEquals(6L, Client.fresh(ns, "p/n").getValue());
  }

  @Test
  void writesMadeOfflineTakeEffectInOrder() {
    List<DataSnapshot> seen = Client.values(b.ref("x"));
    a.set("warm", 1);
    a.db.goOffline();
    List<ApiFuture<Void>> writes = new ArrayList<>();
    for (long i = 1; i <= 5; i++) {
      writes.add(a.ref("x").setValueAsync(i));
    }
    b.set("x", "meanwhile");
    a.db.goOnline();
    writes.forEach(Client::await);
    Client.mark(a, b);
    List<Object> values = new ArrayList<>();
    seen.forEach(s -> values.add(s.getValue()));
    List<Object> want = new ArrayList<>();
    want.add(null);
    want.add("meanwhile");
    want.addAll(List.of(1L, 2L, 3L, 4L, 5L));
    assertEquals(want, values);
  }

  @Test
  void aWriteWhoseAnswerWasLostIsMadeOnce() {
    List<DataSnapshot> own = Client.values(a.ref("n"));
    List<DataSnapshot> seen = Client.values(b.ref("n"));
    for (int i = 1; i <= 3; i++) {
      int n = i;
      proxy.deaf = true;
      // Made twice, it would bear a second time stamp.
      ApiFuture<Void> write = a.ref("n").setValueAsync(Map.of("at", ServerValue.TIMESTAMP, "i", n));
      Client.until(() -> seen.size() == n + 1, () -> "the write at the other client");
      Object first = Client.last(seen);
      proxy.cut();
      proxy.deaf = false;
      Client.await(write, 60);
      Client.mark(b, b);
      assertEquals(n + 1, seen.size());
      assertEquals(first, Client.fresh(ns, "n").getValue());
      Client.until(() -> first.equals(Client.last(own)), () -> "the writer's own view");
    }
  }

  @Test
  void aLostAnswerDoesNotUndoANewerValue() {
    List<DataSnapshot> own = Client.values(a.ref("x"));
    List<DataSnapshot> seen = Client.values(b.ref("x"));
    proxy.deaf = true;
    ApiFuture<Void> write = a.ref("x").setValueAsync("older");
    Client.until(() -> "older".equals(Client.last(seen)), () -> "the write at the other client");
    proxy.refuse = true;
    proxy.cut();
    b.set("x", "newer");
    proxy.deaf = false;
    proxy.refuse = false;
    Client.await(write, 60);
    Client.until(() -> "newer".equals(Client.last(own)), () -> "the newer value at the writer");
    Client.mark(b, b);
    assertEquals("newer", Client.fresh(ns, "x").getValue());
    assertEquals(3, seen.size());
  }

  /** 200 children of 100 bytes: a cache for which the SDK sends compound hashes. */
  private Map<String, Object> large() {
    Map<String, Object> all = new HashMap<>();
    for (int i = 0; i < 200; i++) {
      all.put(String.format("k%03d", i), Map.of("n", (long) i, "f", i / 7.0 + 0.1, "text", "body " + i + " \"\\ü😀".repeat(8), "yes", i % 2 == 0));
    }
    return all;
  }

  /** Reconnects and returns what the server sent until a write made afterwards was answered. */
  private String reconnect(Runnable meanwhile) {
    proxy.refuse = true;
    proxy.cut();
    meanwhile.run();
    proxy.takeDown();
    proxy.refuse = false;
    Client.await(a.ref("synced").setValueAsync(true), 60);
    return proxy.takeDown();
  }

  @Test
  void unchangedDataIsNotSentAgain() {
    b.set("x", large());
    List<DataSnapshot> seen = Client.values(a.ref("x"));
    int all = proxy.takeDown().length();
    assertTrue(all > 20_000, "all of it came the first time: " + all);
    String again = reconnect(() -> {});
    assertTrue(again.length() < 2000, "sent again: " + again.length() + " characters");
    assertEquals(1, seen.size());
  }

  @Test
  void onlyTheChangedRangesAreSent() {
    b.set("x", large());
    Client.await(b.ref("x/k050").setPriorityAsync(3));
    List<DataSnapshot> seen = Client.values(a.ref("x"));
    int all = proxy.takeDown().length();
    String again =
        reconnect(
            () -> {
              b.set("x/k100/n", "changed");
              b.ref("x/k150").removeValueAsync();
              b.set("x/k1505", Map.of("new", true));
              b.set("x/zz", "at the end");
            });
    assertTrue(again.contains("\"rm\""), "no range merge came: " + again.substring(0, Math.min(500, again.length())));
    assertTrue(again.length() < all / 3, "sent again: " + again.length() + " of " + all);
    Client.until(() -> "at the end".equals(seen.get(seen.size() - 1).child("zz").getValue()), () -> "the changes");
    assertEquals(Client.fresh(ns, "x").getValue(true), seen.get(seen.size() - 1).getValue(true));
    assertEquals(2, seen.size(), "the ranges come as one event");
  }

  @Test
  void rangesAtEveryPlace() {
    b.set("x", large());
    List<DataSnapshot> seen = Client.values(a.ref("x"));
    List<Runnable> changes =
        List.of(
            () -> b.set("x/000", "before the first"),
            () -> b.set("x/k000", "first"),
            () -> b.set("x/k199/deep/er", "last"),
            () -> b.set("x/k010", null),
            () -> Client.await(b.ref("x/k020").setPriorityAsync("p")),
            () -> Client.await(b.ref("x").setPriorityAsync(4)),
            () -> b.set("x/k077/text", "t".repeat(3000)),
            () -> Client.await(b.ref("x").updateChildrenAsync(Map.of("k001/n", 5, "k198/n", "x", "k100", 7))),
            () -> b.set("x/k199", null),
            () -> b.set("x", Map.of("small", 1)),
            () -> b.set("x", large()),
            () -> b.set("x", null));
    for (Runnable change : changes) {
      reconnect(change);
      Object want = Client.fresh(ns, "x").getValue(true);
      Client.until(
          () -> java.util.Objects.equals(want, seen.get(seen.size() - 1).getValue(true)),
          () -> "the change; the client has " + String.valueOf(seen.get(seen.size() - 1).getValue(true)).length() + " characters");
    }
  }

  @Test
  void windowsComeBackWithWhatChanged() {
    b.set("x", large());
    List<DataSnapshot> seen = Client.values(a.ref("x").orderByKey().limitToLast(100));
    proxy.takeDown();
    String same = reconnect(() -> {});
    assertTrue(same.length() < 2000, "sent again: " + same.length() + " characters");
    reconnect(
        () -> {
          b.set("x/k150/n", "changed");
          b.set("x/k9", "new");
          b.set("x/k199", null);
        });
    Client.until(() -> "new".equals(seen.get(seen.size() - 1).child("k9").getValue()), () -> "the changes");
    DataSnapshot got = seen.get(seen.size() - 1);
    assertEquals(100, got.getChildrenCount());
    assertEquals("changed", got.child("k150/n").getValue());
    assertFalse(got.child("k199").exists());
    assertTrue(got.child("k100").exists());
  }
}
