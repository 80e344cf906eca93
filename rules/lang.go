package rules

// typ is what is known of a value before any rule runs.
type typ uint8

const (
	tNull typ = iota + 1
	tBool
	tNumber
	tString
	tPrimitive // a leaf of the database, whichever; or null, or what stands for an object
	tAny       // a part of auth
	tSnapshot
	tQuery
	tRegexp
	tArray
)

var typNames = [...]string{"", "null", "boolean", "number", "string", "value", "value", "RuleDataSnapshot", "Query", "regular expression", "array"}

func (t typ) String() string { return typNames[t] }

// fuzzy types are only known at run time.
func (t typ) fuzzy() bool { return t == tPrimitive || t == tAny }

// maybe reports whether a value of type t could be one of type u.
func (t typ) maybe(u typ) bool { return t == u || t.fuzzy() }

// op is what an expression does.
type op uint8

const (
	opLiteral  op = iota + 1
	opName        // a variable, until it is checked
	opAuth        // and what it is then
	opNow         //
	opRoot        //
	opData        //
	opNewData     //
	opQuery       //
	opWildcard    //
	opProperty    // x.name: of auth, once checked
	opIndex       // x[y]: of auth, once checked
	opCall        // a call, until it is checked
	opMethod      // and what it is then
	opLength      // the length of a string
	opQueryOf     // a property of query
	opArray
	opRegexp
	opNot
	opNegate
	opAdd
	opSubtract
	opMultiply
	opDivide
	opModulo
	opEqual
	opNotEqual
	opLess
	opLessEqual
	opGreater
	opGreaterEqual
	opAnd
	opOr
	opChoice
)

// variable is a name that rules know from the start.
type variable struct {
	name    string
	op      op
	typ     typ
	doc     string
	example string // a rule
}

var variables = []variable{
	{"auth", opAuth, tAny, "Who asks: `null`, or an object with `uid`, `provider` and `token` (the claims). A property that is not there is `null`, also of `null`.", "auth != null && auth.token.email_verified == true"},
	{"now", opNow, tNumber, "The time of the operation in milliseconds since 1970. In a write it equals the timestamps that are stored.", "newData.val() <= now"},
	{"root", opRoot, tSnapshot, "The whole database before the operation.", "root.child('admins/' + auth.uid).exists()"},
	{"data", opData, tSnapshot, "The node at the rule's place before the operation.", "!data.exists()"},
	{"newData", opNewData, tSnapshot, "The node at the rule's place after the write, if it is allowed. Not in `.read`.", "newData.val() > data.val()"},
	{"query", opQuery, tQuery, "The query of a read. In a write it has no value: to use it fails the rule.", "query.limitToFirst <= 100"},
}

// methodID tells the methods apart.
type methodID uint8

const (
	mVal methodID = iota + 1
	mChild
	mParent
	mHasChild
	mHasChildren
	mExists
	mGetPriority
	mIsString
	mIsNumber
	mIsBoolean
	mContains
	mBeginsWith
	mEndsWith
	mReplace
	mToLowerCase
	mToUpperCase
	mMatches
)

// method is what can be called. Its first parameter is its receiver.
type method struct {
	of     typ
	name   string
	params []typ
	result typ
	id     methodID
	doc    string
	// example is a rule that has it.
	example string
}

var methods = []method{
	{tSnapshot, "val", nil, tPrimitive, mVal, "The value of a leaf, `null` where nothing is. For an object it is a value that equals nothing, not even itself, and is not `null`: use `child()` to look inside.", "data.child('owner').val() == 'alice'"},
	{tSnapshot, "child", []typ{tString}, tSnapshot, mChild, "The node at a path below. The path may have several components; where it is empty or not a path, nothing is there.", "data.child('members/' + auth.uid).val() == true"},
	{tSnapshot, "parent", nil, tSnapshot, mParent, "The node above. The root has none: to ask for it fails the rule.", "data.parent().child('open').val() == true"},
	{tSnapshot, "hasChild", []typ{tString}, tBool, mHasChild, "Whether something is at a path below.", "newData.hasChild('title')"},
	{tSnapshot, "hasChildren", []typ{tArray}, tBool, mHasChildren, "Whether something is at each of the paths of a list, which is written as an array; without the list, whether the node has any children.", "newData.hasChildren(['title', 'text'])"},
	{tSnapshot, "exists", nil, tBool, mExists, "Whether the node is there.", "data.exists() || newData.exists()"},
	{tSnapshot, "getPriority", nil, tAny, mGetPriority, "The node's priority: a string, a number or `null`.", "newData.getPriority() == null"},
	{tSnapshot, "isString", nil, tBool, mIsString, "Whether the node is a leaf with a string.", "newData.isString()"},
	{tSnapshot, "isNumber", nil, tBool, mIsNumber, "Whether the node is a leaf with a number.", "newData.isNumber() && newData.val() >= 0"},
	{tSnapshot, "isBoolean", nil, tBool, mIsBoolean, "Whether the node is a leaf with a boolean.", "newData.isBoolean()"},
	{tString, "contains", []typ{tString}, tBool, mContains, "Whether a string occurs in this one.", "newData.val().contains('@')"},
	{tString, "beginsWith", []typ{tString}, tBool, mBeginsWith, "Whether this string begins with another.", "newData.val().beginsWith('https://')"},
	{tString, "endsWith", []typ{tString}, tBool, mEndsWith, "Whether this string ends with another.", "auth.token.email.endsWith('@example.com')"},
	{tString, "replace", []typ{tString, tString}, tString, mReplace, "This string with every occurrence of the first string replaced by the second. Both are taken literally.", "root.child('users/' + auth.token.email.replace('.', ',')).exists()"},
	{tString, "toLowerCase", nil, tString, mToLowerCase, "This string in lower case.", "newData.val() == newData.val().toLowerCase()"},
	{tString, "toUpperCase", nil, tString, mToUpperCase, "This string in upper case.", "newData.val() == newData.val().toUpperCase()"},
	{tString, "matches", []typ{tRegexp}, tBool, mMatches, "Whether a regular expression, written as a literal, matches anywhere in this string.", "newData.val().matches(/^[0-9]{4}-[0-9]{2}-[0-9]{2}$/)"},
}

// property is what a string or a query has.
type property struct {
	of   typ
	name string
	typ  typ
	id   queryProperty
	doc  string
	// example is a rule that has it.
	example string
}

type queryProperty uint8

const (
	qNone queryProperty = iota
	qOrderByKey
	qOrderByPriority
	qOrderByValue
	qOrderByChild
	qStartAt
	qEndAt
	qEqualTo
	qLimitToFirst
	qLimitToLast
)

var properties = []property{
	{tString, "length", tNumber, qNone, "The number of UTF-16 units of a string.", "newData.val().length <= 140"},
	{tQuery, "orderByKey", tBool, qOrderByKey, "Whether the query is ordered by key. So is, for rules, every query that names no order, and a read without a query.", "query.orderByKey"},
	{tQuery, "orderByPriority", tBool, qOrderByPriority, "Whether the query is ordered by priority. The SDKs do not send this order when it has no bounds, for it is the protocol's default: it then counts as ordered by key.", "!query.orderByPriority"},
	{tQuery, "orderByValue", tBool, qOrderByValue, "Whether the query is ordered by value.", "query.orderByValue"},
	{tQuery, "orderByChild", tString, qOrderByChild, "The path by which the query is ordered, or `null`.", "query.orderByChild == 'owner'"},
	{tQuery, "startAt", tPrimitive, qStartAt, "The lower bound, or `null`.", "query.startAt >= 18"},
	{tQuery, "endAt", tPrimitive, qEndAt, "The upper bound, or `null`.", "query.endAt <= 99"},
	{tQuery, "equalTo", tPrimitive, qEqualTo, "The value that the query asks for, or `null`. The protocol writes it as two equal bounds, so `startAt` and `endAt` have it too.", "query.equalTo == auth.uid"},
	{tQuery, "limitToFirst", tNumber, qLimitToFirst, "The limit from the start, or `null`.", "query.limitToFirst <= 100"},
	{tQuery, "limitToLast", tNumber, qLimitToLast, "The limit from the end, or `null`.", "query.limitToLast <= 100"},
}

// operator is what stands between operands, or before one.
type operator struct {
	text     string
	strength int // a higher one binds tighter
	op       op
	typ      typ
	operands string
	doc      string
	example  string // a rule
}

const (
	byOr = iota + 1
	byAnd
	byEquality
	byOrder
	bySum
	byProduct
)

var operators = []operator{
	{"||", byOr, opOr, tBool, "booleans", "True if one operand is. Stops at the first that is.", "!data.exists() || data.val() == auth.uid"},
	{"&&", byAnd, opAnd, tBool, "booleans", "True if all operands are. Stops at the first that is not.", "auth != null && newData.exists()"},
	{"==", byEquality, opEqual, tBool, "any but snapshots", "Whether both are the same value of the same type. Nothing is converted.", "newData.val() == 'draft'"},
	{"===", byEquality, opEqual, tBool, "any but snapshots", "The same as `==`.", "newData.val() === 'draft'"},
	{"!=", byEquality, opNotEqual, tBool, "any but snapshots", "The opposite of `==`.", "auth != null"},
	{"!==", byEquality, opNotEqual, tBool, "any but snapshots", "The same as `!=`.", "auth !== null"},
	{"<", byOrder, opLess, tBool, "two numbers, two strings or two nulls", "Strings are ordered by their UTF-16 units. Different types fail the rule.", "newData.val() < 100"},
	{"<=", byOrder, opLessEqual, tBool, "two numbers, two strings or two nulls", "As `<`.", "newData.val() <= now"},
	{">", byOrder, opGreater, tBool, "two numbers, two strings or two nulls", "As `<`.", "newData.val() > data.val()"},
	{">=", byOrder, opGreaterEqual, tBool, "two numbers, two strings or two nulls", "As `<`.", "newData.val() >= 0"},
	{"+", bySum, opAdd, tPrimitive, "numbers or strings", "The sum of two numbers. If one operand is a string, both are joined.", "newData.val() == data.val() + 1"},
	{"-", bySum, opSubtract, tNumber, "numbers", "The difference.", "now - data.val() > 60000"},
	{"*", byProduct, opMultiply, tNumber, "numbers", "The product.", "newData.val() <= data.val() * 2"},
	{"/", byProduct, opDivide, tNumber, "numbers", "The quotient; by zero it is not a number, which equals nothing and has no order.", "newData.val() / 100 <= 1"},
	{"%", byProduct, opModulo, tNumber, "numbers", "The remainder, with the sign of the first operand.", "newData.val() % 5 == 0"},
}

// prefixes are the operators before an operand; they bind tighter than all others.
var prefixes = []operator{
	{"!", 0, opNot, tBool, "a boolean", "Whether it is false. A rule that failed stays failed.", "!data.exists()"},
	{"-", 0, opNegate, tNumber, "a number", "The number with the other sign.", "newData.val() >= -90"},
}

func findMethod(of typ, name string) *method {
	for i := range methods {
		if methods[i].of == of && methods[i].name == name {
			return &methods[i]
		}
	}
	return nil
}

func findProperty(of typ, name string) *property {
	for i := range properties {
		if properties[i].of == of && properties[i].name == name {
			return &properties[i]
		}
	}
	return nil
}

func findOperator(table []operator, text string) *operator {
	for i := range table {
		if table[i].text == text {
			return &table[i]
		}
	}
	return nil
}
