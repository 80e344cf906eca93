package rebase;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.auth.oauth2.GoogleCredentials;
import com.google.firebase.FirebaseApp;
import com.google.firebase.FirebaseOptions;
import com.google.firebase.database.DataSnapshot;
import com.google.firebase.database.DatabaseError;
import com.google.firebase.database.DatabaseReference;
import com.google.firebase.database.FirebaseDatabase;
import com.google.firebase.database.ValueEventListener;
import java.io.FileInputStream;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** The Admin SDK with a key file, against a closed server. run-closed.sh starts it. */
class ClosedIT {
  private static DatabaseReference root(Map<String, Object> override) throws Exception {
    try (FileInputStream key = new FileInputStream(System.getenv("CLOSED_KEY"))) {
      FirebaseOptions.Builder options =
          FirebaseOptions.builder()
              .setCredentials(GoogleCredentials.fromStream(key))
              .setDatabaseUrl(System.getenv("CLOSED_URL"));
      if (override != null) {
        options.setDatabaseAuthVariableOverride(override);
      }
      FirebaseApp app = FirebaseApp.initializeApp(options.build(), UUID.randomUUID().toString());
      return FirebaseDatabase.getInstance(app).getReference();
    }
  }

  private static Object read(DatabaseReference at) throws Exception {
    CompletableFuture<Object> value = new CompletableFuture<>();
    at.addListenerForSingleValueEvent(
        new ValueEventListener() {
          @Override
          public void onDataChange(DataSnapshot snapshot) {
            value.complete(snapshot.getValue());
          }

          @Override
          public void onCancelled(DatabaseError error) {
            value.completeExceptionally(error.toException());
          }
        });
    return value.get(30, TimeUnit.SECONDS);
  }

  @Test
  void aServiceAccountIsAnAdministrator() throws Exception {
    DatabaseReference at = root(null).child("java/x");
    at.setValueAsync(7L).get(30, TimeUnit.SECONDS);
    assertEquals(7L, read(at));
  }

  @Test
  void whoeverActsAsSomebodyIsBoundByTheRules() throws Exception {
    DatabaseReference users = root(Map.of("uid", "duke")).child("users");
    users.child("duke").setValueAsync("mine").get(30, TimeUnit.SECONDS);
    ExecutionException refused =
        assertThrows(ExecutionException.class, () -> users.child("alice").setValueAsync("not mine").get(30, TimeUnit.SECONDS));
    assertTrue(refused.getMessage().contains("Permission denied"), refused.getMessage());
  }
}
