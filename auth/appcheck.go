package auth

import (
	"context"
	"slices"
	"time"

	"rebase/auth/token"
)

// appCheckIssuer begins the issuers of App Check tokens; the project's number follows.
const appCheckIssuer = "https://firebaseappcheck.googleapis.com/"

// CheckApp implements AppChecker.
func (a *Authority) CheckApp(ctx context.Context, ns, text string) (expires time.Time, err error) {
	project := a.o.Projects.Of(ns)
	config, ok := a.o.Projects.Config(project)
	if !ok || config.AppCheck.ProjectNumber == "" {
		return time.Time{}, nil
	}
	t, err := token.Parse(text)
	if err != nil {
		return time.Time{}, invalid("the App Check token cannot be read: %v", err)
	}
	p := presented{a: a, ns: ns, project: project, config: config, now: a.o.Now(), t: t}
	if t.Alg != token.RS256 {
		return time.Time{}, invalid("the App Check token is refused: its algorithm is not %s", token.RS256)
	}
	number := config.AppCheck.ProjectNumber
	if issuer, _ := t.Text("iss"); issuer != appCheckIssuer+number {
		return time.Time{}, invalid("the App Check token is refused: its issuer is not App Check of project number %s", number)
	}
	k, err := p.remoteKey(ctx, a.appCheck)
	if err != nil {
		return time.Time{}, err
	}
	if err := p.signedBy(k); err != nil {
		return time.Time{}, err
	}
	accepted := []string{"projects/" + number}
	if config.FirebaseProject != "" {
		accepted = append(accepted, "projects/"+config.FirebaseProject)
	}
	if err := t.Audience(accepted...); err != nil {
		return time.Time{}, invalid("the App Check token is refused: %v", err)
	}
	if err := p.inForce(); err != nil {
		return time.Time{}, err
	}
	app, ok := t.Text("sub")
	if !ok || app == "" {
		return time.Time{}, invalid("the App Check token is refused: it names no app")
	}
	if apps := config.AppCheck.Apps; len(apps) > 0 && !slices.Contains(apps, app) {
		return time.Time{}, invalid("the App Check token is of app %.200q, which is not one of project %s", app, project)
	}
	return p.times.Expires, nil
}

// AppCheckRequired implements AppChecker.
func (a *Authority) AppCheckRequired(ns string) bool {
	config, ok := a.o.Projects.Config(a.o.Projects.Of(ns))
	return ok && config.AppCheck.Required
}
