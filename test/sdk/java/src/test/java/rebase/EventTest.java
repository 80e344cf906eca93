package rebase;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.firebase.database.ChildEventListener;
import com.google.firebase.database.DataSnapshot;
import com.google.firebase.database.DatabaseError;
import com.google.firebase.database.Query;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Value and child events, live windows, and their order. */
class EventTest {
  private final String ns = Client.namespace();
  private final Client a = new Client(ns);
  private final Client b = new Client(ns);

  @AfterEach
  void close() {
    a.close();
    b.close();
  }

  private static List<String> childEvents(Query query) {
    List<String> log = Collections.synchronizedList(new ArrayList<>());
    query.addChildEventListener(
        new ChildEventListener() {
          @Override
          public void onChildAdded(DataSnapshot s, String prev) {
            log.add("added " + s.getKey() + " after " + prev + ": " + s.getValue());
          }

          @Override
          public void onChildChanged(DataSnapshot s, String prev) {
            log.add("changed " + s.getKey() + " after " + prev + ": " + s.getValue());
          }

          @Override
          public void onChildRemoved(DataSnapshot s) {
            log.add("removed " + s.getKey() + ": " + s.getValue());
          }

          @Override
          public void onChildMoved(DataSnapshot s, String prev) {
            log.add("moved " + s.getKey() + " after " + prev + ": " + s.getValue());
          }

          @Override
          public void onCancelled(DatabaseError error) {
            log.add("cancelled " + error);
          }
        });
    return log;
  }

  @Test
  void childEventsWithPreviousKeys() {
    a.set("l", Map.of("a", 1, "c", 3));
    List<String> log = childEvents(b.ref("l"));
    Client.until(() -> log.size() == 2, () -> "the first events");
    a.set("l/b", 2);
    a.set("l/a", 10);
    Client.await(a.ref("l/c").removeValueAsync());
    Client.mark(a, b);
    assertEquals(
        List.of(
            "added a after null: 1",
            "added c after a: 3",
            "added b after a: 2",
            "changed a after null: 10",
            "removed c: 3"),
        log);
  }

  @Test
  void movedWhenTheOrderedValueChanges() {
    a.set("l", Map.of("a", Map.of("n", 1), "b", Map.of("n", 2), "c", Map.of("n", 3)));
    List<String> log = childEvents(b.ref("l").orderByChild("n"));
    Client.until(() -> log.size() == 3, () -> "the first events");
    a.set("l/a/n", 9);
    Client.mark(a, b);
    assertEquals(List.of("moved a after c: {n=9}", "changed a after c: {n=9}"), log.subList(3, log.size()));
  }

  @Test
  void oneValueEventPerUpdateAndNoneUndone() {
    a.set("x", Map.of("n", 0L, "d", Map.of("n", 0L)));
    List<DataSnapshot> own = Client.values(a.ref("x"));
    List<DataSnapshot> seen = Client.values(b.ref("x"));
    for (long i = 1; i <= 20; i++) {
      Map<String, Object> changes = new HashMap<>();
      changes.put("n", i);
      changes.put("d/n", i);
      Client.await(a.ref("x").updateChildrenAsync(changes));
    }
    Client.mark(a, b);
    Client.mark(a, a);
    for (List<DataSnapshot> list : List.of(own, seen)) {
      assertEquals(21, list.size());
      for (int i = 0; i < 21; i++) {
        assertEquals(Map.of("n", (long) i, "d", Map.of("n", (long) i)), list.get(i).getValue());
      }
    }
  }

  @Test
  void liveWindows() {
    Map<String, Object> all = new HashMap<>();
    for (int i = 0; i < 10; i++) {
      all.put("k" + i, Map.of("n", (long) i, "rest", "r" + i));
    }
    a.set("q", all);
    List<DataSnapshot> first = Client.values(b.ref("q").orderByChild("n").limitToFirst(2));
    List<DataSnapshot> last = Client.values(b.ref("q").orderByKey().limitToLast(2));
    List<DataSnapshot> range = Client.values(b.ref("q").orderByChild("n").startAt(3).endAt(4));
    List<DataSnapshot> equal = Client.values(b.ref("q").orderByChild("n").equalTo(100));
    assertEquals(List.of("k0", "k1"), Client.keys(first.get(0)));
    assertEquals(List.of("k8", "k9"), Client.keys(last.get(0)));
    assertEquals(List.of("k3", "k4"), Client.keys(range.get(0)));
    assertEquals(List.of(), Client.keys(equal.get(0)));
    a.set("q/k0/n", 100); // leaves the first window and the key order alone
    a.set("q/k9/n", 3.5); // enters the range
    Client.await(a.ref("q/k8").removeValueAsync());
    Client.mark(a, b);
    assertEquals(List.of("k1", "k2"), Client.keys(first.get(first.size() - 1)));
    assertEquals(Map.of("n", 2L, "rest", "r2"), first.get(first.size() - 1).child("k2").getValue());
    assertEquals(List.of("k7", "k9"), Client.keys(last.get(last.size() - 1)));
    assertEquals(List.of("k3", "k9", "k4"), Client.keys(range.get(range.size() - 1)));
    assertEquals(List.of("k0"), Client.keys(equal.get(equal.size() - 1)));
    assertEquals(2, first.size(), "one event for the one change of this window");
    assertEquals(Map.of("n", 3.5, "rest", "r9"), range.get(range.size() - 1).child("k9").getValue());
  }

  @Test
  void everyBound() {
    Map<String, Object> v = new HashMap<>();
    v.put("a", 1L);
    v.put("b", "text");
    v.put("c", true);
    v.put("d", Map.of("x", 1));
    v.put("12", 1L);
    v.put("9", 2.5);
    a.set("v", v);
    assertEquals(List.of("9", "12", "a", "b", "c", "d"), Client.keys(Client.once(b.ref("v").orderByKey())));
    assertEquals(List.of("c", "12", "a", "9", "b", "d"), Client.keys(Client.once(b.ref("v").orderByValue())));
    assertEquals(List.of("12", "a", "9", "b", "d"), Client.keys(Client.once(b.ref("v").orderByValue().startAt(1))));
    assertEquals(List.of("a", "9", "b", "d"), Client.keys(Client.once(b.ref("v").orderByValue().startAt(1, "a"))));
    assertEquals(List.of("c", "12"), Client.keys(Client.once(b.ref("v").orderByValue().endAt(1, "12"))));
    assertEquals(List.of("12", "a"), Client.keys(Client.once(b.ref("v").orderByValue().equalTo(1))));
    assertEquals(List.of("a"), Client.keys(Client.once(b.ref("v").orderByValue().equalTo(1, "a"))));
    assertEquals(List.of("b"), Client.keys(Client.once(b.ref("v").orderByKey().equalTo("b"))));
    assertEquals(List.of("b", "c", "d"), Client.keys(Client.once(b.ref("v").orderByKey().startAt("b"))));
    assertEquals(List.of("9", "12"), Client.keys(Client.once(b.ref("v").orderByKey().endAt("12"))));
    assertEquals(List.of("d"), Client.keys(Client.once(b.ref("v").orderByChild("x").startAt(0))));
  }

  @Test
  void aFilledPlaceNeverShowsNullFirst() {
    a.set("x", Map.of("v", 1L));
    for (int i = 0; i < 5; i++) {
      try (Client c = new Client(ns)) {
        List<DataSnapshot> plain = Client.values(c.ref("x"));
        List<DataSnapshot> window = Client.values(c.ref("x").limitToLast(1));
        assertEquals(Map.of("v", 1L), plain.get(0).getValue());
        assertEquals(Map.of("v", 1L), window.get(0).getValue());
      }
    }
  }

  @Test
  void timeOffset() {
    List<DataSnapshot> offset = Client.values(a.ref(".info/serverTimeOffset"));
    List<DataSnapshot> up = Client.values(a.ref(".info/connected"));
    Client.until(() -> Boolean.TRUE.equals(Client.last(up)), () -> "the connection");
    Client.until(() -> Client.last(offset) != null, () -> "the offset");
    assertTrue(Math.abs(((Number) Client.last(offset)).longValue()) < 5000);
  }

  /** This SDK knows text and close frames only: a WebSocket ping makes it drop the connection. */
  @Test
  void theConnectionStays() throws Exception {
    List<DataSnapshot> up = Client.values(a.ref(".info/connected"));
    a.set("x", 0);
    Client.until(() -> Boolean.TRUE.equals(Client.last(up)), () -> "the connection");
    int changes = up.size();
    for (int i = 1; i <= 5; i++) {
      a.set("x", i);
      Thread.sleep(400); // the server may want to know whether its answer has arrived
    }
    assertEquals(changes, up.size(), "the connection was lost");
  }

  /** Back from an absence, a client says again what it said before: that is no repetition of a lost write. */
  @Test
  void presenceAfterEveryReturn() {
    List<DataSnapshot> seen = Client.values(b.ref("status"));
    for (int i = 0; i < 4; i++) {
      Client.await(a.ref("status").onDisconnect().setValueAsync("offline"));
      a.set("status", "online");
      Client.until(() -> "online".equals(Client.last(seen)), () -> "online");
      a.db.goOffline();
      Client.until(() -> "offline".equals(Client.last(seen)), () -> "offline");
      a.db.goOnline();
    }
    a.set("status", "online");
    Client.mark(b, b);
    assertEquals("online", Client.last(seen));
  }
}
