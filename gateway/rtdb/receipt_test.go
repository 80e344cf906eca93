package rtdb

import "testing"

func TestOnlyTheJavaAdminSDKIsNotPinged(t *testing.T) {
	for agent, want := range map[string]bool{
		"": true,
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0 Safari/537.36": true,
		"Firebase/5/12.19.0/linux/Node":       true,
		"Firebase/5/13.10.0/linux/AdminNode":  true,
		"Firebase/5/21.0.0/34/Android":        true,
		"Firebase/5/9.11.0/17.0.15/AdminJava": false,
	} {
		if got := takesPings(agent); got != want {
			t.Errorf("takesPings(%q) = %v", agent, got)
		}
	}
}
