package identity

import (
	"net/http"
	"strings"

	"rebase/auth/projects"
)

// emulator serves what tests do to the Firebase emulator behind the API's back. There is nothing of it but in open mode.
func (q *request) emulator(path string) (any, error) {
	if !q.s.o.Open {
		return nil, errNoSuchPath
	}
	project, what, ok := strings.Cut(strings.TrimPrefix(path, "v1/projects/"), "/")
	if !ok || !strings.HasPrefix(path, "v1/projects/") {
		return nil, errNoSuchPath
	}
	if err := projects.CheckName(project); err != nil {
		return nil, &apiError{http.StatusBadRequest, "INVALID_PROJECT_ID : " + err.Error(), "INVALID_ARGUMENT"}
	}
	q.project, q.admin, q.who = project, true, "emulator"
	switch q.r.Method + " " + what {
	case "DELETE accounts":
		return object{}, q.s.o.Users.Clear(q.ctx(), q.caller())
	case "GET oobCodes":
		return object{"oobCodes": q.s.o.Users.Codes(project)}, nil
	case "GET verificationCodes":
		return object{"verificationCodes": []object{}}, nil
	case "GET config", "PATCH config":
		return q.config()
	}
	return nil, errNoSuchPath
}
